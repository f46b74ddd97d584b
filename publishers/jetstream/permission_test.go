package jetstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// restricted starts a server whose user "relay" has the given permissions, and whose user "admin" has all.
func restricted(t *testing.T, permissions string) (*testServer, Config) {
	t.Helper()
	s := startServer(t, fmt.Sprintf(`authorization { users: [
		{user: admin, password: admin}
		{user: relay, password: relay, permissions: { %s }}
	] }`, permissions))
	cfg := configFor(t, s.url())
	cfg.User, cfg.Password = "relay", "relay"
	cfg.PublishTimeout = 20 * time.Second // a test that waits for it is too slow
	return s, cfg
}

func asAdmin() nats.Option { return nats.UserInfo("admin", "admin") }

// A subject without permission delays its key, quickly, and nothing else.
func TestSubjectWithoutPermission(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		for _, places := range [][]int{{0}, {3}, {9}, {2, 3, 4, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
			t.Run(fmt.Sprint(fast, places), func(t *testing.T) {
				t.Parallel()
				s, cfg := restricted(t, `publish: { deny: ["game.*.secret.>"] }`)
				_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.withSubjects("game.>").stream(fast))
				require.NoError(t, err)
				p, _ := connect(t, cfg)
				events := testEvents(cfg, 10, 0)
				bad := map[int]bool{}
				for n, i := range places {
					bad[i] = true
					events[i].Subject = fmt.Sprintf("game.x.secret.%d", n)
				}
				began := time.Now()
				outcomes, err := p.Publish(t.Context(), events)
				require.NoError(t, err)
				require.Less(t, time.Since(began), 5*time.Second)
				for i := range events {
					if !bad[i] {
						requireStored(t, outcomes, i)
						continue
					}
					requireMisconfigured(t, outcomes[i].Err, events[i].Subject, "grant it publish")
				}
			})
		}
	}
}

func (c Config) withSubjects(subjects ...string) Config {
	c.Subjects = subjects
	return c
}

func TestOneEventWithoutPermission(t *testing.T) {
	t.Parallel()
	s, cfg := restricted(t, `publish: { deny: ["game.>"] }`)
	_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 1, 1)
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	requireMisconfigured(t, outcomes[0].Err, events[0].Subject, "grant it publish")
}

// Later events of a key wait behind one without permission.
func TestPermissionHoldsBackTheKey(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		s, cfg := restricted(t, `publish: { deny: ["game.*.secret"] }`)
		_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.withSubjects("game.>").stream(fast))
		require.NoError(t, err)
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 6, 2)
		events[2].Subject = "game.x.secret"
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 1, 3, 5)
		require.Equal(t, "misconfigured", kind(outcomes[2].Err))
		require.Zero(t, outcomes[4])
	}
}

// What the publisher needs before its first event is missing: the error says so at once, and names it.
func TestMissingPermissionsOfTheUser(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		permissions string
		words       []string
	}{
		"stream info":   {`publish: { deny: ["$JS.API.STREAM.INFO.>"] }`, []string{"$JS.API.STREAM.INFO.", "grant it publish"}},
		"stream create": {`publish: { deny: ["$JS.API.STREAM.CREATE.>"] }`, []string{"$JS.API.STREAM.CREATE.", "grant it publish"}},
		"inbox":         {`subscribe: { deny: ["_INBOX.>"] }`, []string{"_INBOX.", "grant it subscribe", "mq.inbox_prefix"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cfg := restricted(t, test.permissions)
			cfg.ConnectTimeout = 20 * time.Second
			p, _ := newPublisher(t, cfg)
			began := time.Now()
			requireMisconfigured(t, p.Connect(t.Context()), test.words...)
			_, err := p.Publish(t.Context(), testEvents(cfg, 2, 1))
			requireMisconfigured(t, err, test.words...)
			require.Less(t, time.Since(began), 10*time.Second)
		})
	}
}

func TestInboxPrefix(t *testing.T) {
	t.Parallel()
	_, cfg := restricted(t, `subscribe: { allow: ["_RELAY.>"] }`)
	cfg.InboxPrefix = "_RELAY.a"
	requireWorks(t, cfg)
}

// The permissions that the documentation asks for are enough.
func TestLeastPermissions(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		s, cfg := restricted(t, `publish: { allow: ["game.>", "$JS.API.STREAM.INFO.*"] }, subscribe: { allow: ["_INBOX.>"] }`)
		_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.stream(fast))
		require.NoError(t, err)
		requireWorks(t, cfg)
	}
}

// Granting the permission is enough; nothing needs a restart.
func TestPermissionIsGrantedLater(t *testing.T) {
	t.Parallel()
	s, cfg := restricted(t, `publish: { deny: ["game.>"] }`)
	_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 5, 1)
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	require.Equal(t, "misconfigured", kind(outcomes[0].Err))
	options := s.options.Clone()
	for _, user := range options.Users {
		user.Permissions = nil
	}
	options.Port = s.options.Port
	require.NoError(t, s.running.ReloadOptions(options))
	require.Eventually(t, func() bool {
		outcomes, err := p.Publish(t.Context(), events)
		return err == nil && outcomes[4].Stored
	}, patience, 20*time.Millisecond)
}

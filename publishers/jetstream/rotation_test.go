package jetstream

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// rotation is a secret that changes while a publisher runs: in the server, and where the publisher reads it.
type rotation struct {
	config string // of the server, with the secret as %s
	apply  func(cfg *Config, s *testServer, secret string)
}

var rotations = map[string]rotation{
	"password": {`authorization { users: [{user: relay, password: %q}] }`, func(cfg *Config, _ *testServer, secret string) {
		cfg.User, cfg.Password = "relay", secret
	}},
	"token": {`authorization { token: %q }`, func(cfg *Config, _ *testServer, secret string) { cfg.Token = secret }},
	"URL": {`authorization { users: [{user: relay, password: %q}] }`, func(cfg *Config, s *testServer, secret string) {
		cfg.NATSURL = strings.Replace(s.url(), "//", "//relay:"+secret+"@", 1)
	}},
}

// The server takes another secret from now on, and no connection lives. What cannot be read is told, and tried again.
func TestSecretsAreRotated(t *testing.T) {
	t.Parallel()
	for name, r := range rotations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, fmt.Sprintf(r.config, "hunter2"))
			var now atomic.Pointer[Config] // nil while it cannot be read
			cfg := configFor(t, s.url())
			set := func(secret string) {
				r.apply(&cfg, s, secret)
				fresh := cfg
				now.Store(&fresh)
			}
			set("hunter2")
			began := cfg
			began.Reread = func() (Config, error) {
				if fresh := now.Load(); fresh != nil {
					return *fresh, nil
				}
				return Config{}, errors.New("/run/secrets/nats cannot be read")
			}
			p, _ := connect(t, began)
			requirePublishes(t, p, cfg)

			s.restart(fmt.Sprintf(r.config, "hunter3"), func() { set("hunter3") })
			requirePublishes(t, p, cfg)

			s.restart(fmt.Sprintf(r.config, "hunter4"), func() { now.Store(nil) })
			requireEnds(t, p, "/run/secrets/nats cannot be read")
			set("hunter4")
			requirePublishes(t, p, cfg)
		})
	}
}

// restart stops the server, and starts it on the same port and store with another configuration. between is done while it is away.
func (s *testServer) restart(config string, between func()) {
	s.t.Helper()
	s.stop()
	between()
	file := s.t.TempDir() + "/nats.conf"
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\njetstream { store_dir: %q }\n%s\n", s.options.Port, s.options.StoreDir, config)
	require.NoError(s.t, os.WriteFile(file, []byte(text), 0o600))
	options, err := server.ProcessConfigFile(file)
	require.NoError(s.t, err)
	s.options = *options
	s.options.NoSigs, s.options.NoLog = true, true
	s.start()
}

// A seed is replaced by that of another user.
func TestNKeyIsRotated(t *testing.T) {
	t.Parallel()
	const config = `authorization { users: [{nkey: %s}] }`
	users := []string{"", ""}
	seeds := make([][]byte, 2)
	for i := range users {
		pair := newUser(t)
		users[i], seeds[i] = public(t, pair), seed(t, pair)
	}
	s := startServer(t, fmt.Sprintf(config, users[0]))
	cfg := configFor(t, s.url())
	cfg.NKeyFile = write(t, "relay.nk", seeds[0])
	p, _ := connect(t, cfg)
	requirePublishes(t, p, cfg)
	s.restart(fmt.Sprintf(config, users[1]), func() { require.NoError(t, os.Remove(cfg.NKeyFile)) })
	requireEnds(t, p, "mq.nkey_file", cfg.NKeyFile)
	require.NoError(t, os.WriteFile(cfg.NKeyFile, seeds[1], 0o600))
	requirePublishes(t, p, cfg)
}

// requirePublishes waits until the publisher stores events.
func requirePublishes(t *testing.T, p *Publisher, cfg Config) {
	t.Helper()
	events := testEvents(cfg, 3, 1)
	require.Eventually(t, func() bool {
		outcomes, err := p.Publish(t.Context(), events)
		return err == nil && outcomes[0].Stored && outcomes[1].Stored && outcomes[2].Stored
	}, patience, 20*time.Millisecond)
}

// requireEnds waits until a look at the server fails with a mistake that is told in these words.
func requireEnds(t *testing.T, p *Publisher, words ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := p.Connect(t.Context())
		if !errors.Is(err, relay.ErrMisconfigured) {
			return false
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond)
}

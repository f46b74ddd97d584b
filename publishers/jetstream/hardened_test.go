package jetstream

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// hardenedConfig returns the server's configuration that docs/SECURITY.md shows.
func hardenedConfig(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/SECURITY.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```conf\n")
	require.True(t, found)
	config, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	return config
}

// guest is a connection of a user, and what the server denies it.
type guest struct {
	*nats.Conn
	denied chan error
}

func (s *testServer) guest(t *testing.T, user string) guest {
	t.Helper()
	g := guest{denied: make(chan error, 100)}
	var err error
	g.Conn, err = nats.Connect(s.url(), nats.UserInfo(user, user), nats.CustomInboxPrefix("_INBOX."+user),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { g.denied <- err }))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	return g
}

func (g guest) requireDenied(t *testing.T, what string) {
	t.Helper()
	require.NoError(t, g.Flush())
	require.ErrorContains(t, <-g.denied, fmt.Sprintf("%q", what))
}

// The relay has all that it needs with the permissions of docs/SECURITY.md, and the others have
// nothing by which to disturb it.
func TestHardenedPermissions(t *testing.T) {
	t.Parallel()
	s := startServer(t, hardenedConfig(t))
	js := s.admin(asAdmin())
	cfg := DefaultConfig()
	cfg.NATSURL, cfg.User, cfg.Password, cfg.InboxPrefix, cfg.CreateStream = s.url(), "relay", "relay", "_RELAY", false
	stream, err := js.CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	durable := jsapi.ConsumerConfig{Durable: "billing", AckPolicy: jsapi.AckExplicitPolicy}
	_, err = stream.CreateConsumer(t.Context(), durable)
	require.NoError(t, err)
	dashboard := s.guest(t, "dashboard")
	seen, err := dashboard.SubscribeSync("game.>")
	require.NoError(t, err)
	require.NoError(t, dashboard.Flush())

	p, logs := connect(t, cfg)
	events := testEvents(cfg, 20, 3)
	eventually(t, p, events)
	eventually(t, p, testEvents(cfg, 1, 0))
	var found []int64
	read := func(e relay.StoredEvent) error {
		found = append(found, e.ID)
		return nil
	}
	require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 1, Last: 20, Payloads: true}, read))
	require.Equal(t, ids(events), found)
	l, err := p.ready(t.Context())
	require.NoError(t, err)
	opened, err := l.openStream(t.Context())
	require.NoError(t, err)
	found = nil
	scan := relay.Scan{First: 1, Last: 20}
	require.NoError(t, l.getRange(t.Context(), opened, scan, func(msg stored) error { return take(msg, scan, read) }))
	require.Equal(t, ids(events), found)
	require.Empty(t, logs.FilterMessage("answer that no stream gives").All())

	billing := s.guest(t, "billing")
	own, err := jsapi.New(billing.Conn)
	require.NoError(t, err)
	consumer, err := own.Consumer(t.Context(), cfg.StreamName, "billing")
	require.NoError(t, err)
	batch, err := consumer.Fetch(21, jsapi.FetchMaxWait(patience))
	require.NoError(t, err)
	got := 0
	for msg := range batch.Messages() {
		require.NoError(t, msg.DoubleAck(t.Context()))
		got++
	}
	require.Equal(t, 21, got)

	msg, err := seen.NextMsg(patience)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(msg.Reply, "_RELAY."))
	for _, user := range []guest{dashboard, billing} {
		for _, subject := range []string{
			msg.Reply, "game.x", "$JS.API.STREAM.PURGE.game-events", "$JS.API.STREAM.DELETE.game-events",
			"$JS.API.STREAM.UPDATE.game-events", "$JS.API.CONSUMER.CREATE.game-events.x",
			"$JS.API.STREAM.MSG.DELETE.game-events",
			"$JS.API.CONSUMER.DELETE.game-events.billing",
		} {
			require.NoError(t, user.Publish(subject, []byte("{}")))
			user.requireDenied(t, subject)
		}
		for _, subject := range []string{"_RELAY.>", ">", "$JS.API.>", "_INBOX.>"} {
			_, err := user.SubscribeSync(subject)
			require.NoError(t, err)
			user.requireDenied(t, subject)
		}
	}
	_, err = billing.SubscribeSync("game.>")
	require.NoError(t, err)
	billing.requireDenied(t, "game.>")
}

// Every answer comes to the inbox that is set: those to events, of the API and of messages that are
// read back.
func TestInboxPrefixOfEverything(t *testing.T) {
	t.Parallel()
	s, cfg := restricted(t, `subscribe: { allow: ["_RELAY.>"] }`)
	cfg.InboxPrefix = "_RELAY.a"
	watched, err := s.admin(asAdmin()).Conn().SubscribeSync("_INBOX.>")
	require.NoError(t, err)
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 5, 2)
	eventually(t, p, events)
	count := 0
	require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 1, Last: 5}, func(relay.StoredEvent) error {
		count++
		return nil
	}))
	require.Equal(t, 5, count)
	pending, _, err := watched.Pending()
	require.NoError(t, err)
	require.Zero(t, pending)
}

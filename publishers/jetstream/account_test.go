package jetstream

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// accounts are two of one server: HUB has the stream, and GAME, in which the relay signs in, imports its API and the events' subjects.
const accounts = `accounts {
	HUB { jetstream: enabled, users: [ { user: hub, password: x } ]
		exports: [ { service: "$JS.API.>", response: stream }, { service: "game.>", response: stream } ] }
	GAME { jetstream: enabled, users: [ { user: game, password: x } ]
		imports: [ { service: { account: HUB, subject: "$JS.API.>" }, to: "JS.hub.API.>" }, { service: { account: HUB, subject: "game.>" } } ] }
}`

func TestAStreamOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := startServer(t, accounts)
	hub, game := s.admin(nats.UserInfo("hub", "x")), s.admin(nats.UserInfo("game", "x"))
	cfg := configFor(t, s.url())
	cfg.User, cfg.Password, cfg.APIPrefix = "game", "x", "JS.hub.API"
	p, _ := connect(t, cfg)
	stream, err := hub.Stream(t.Context(), cfg.StreamName)
	require.NoError(t, err, "it was created by that API")
	_, err = game.Stream(t.Context(), cfg.StreamName)
	require.Error(t, err)
	state, err := p.Inspect(t.Context())
	require.NoError(t, err)
	p.Accept(state)

	events := append(testEvents(cfg, 1, 0), testEvents(cfg, 600, 7)...)
	publishAll(t, p, events[:1])
	publishAll(t, p, events[1:])
	require.Len(t, storedIDs(t, hub, cfg.StreamName), len(events))
	require.Equal(t, ids(events[:1]), storedIDs(t, hub, cfg.StreamName)[:1])
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	var read []int64
	require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 1, Last: info.State.LastSeq}, func(e relay.StoredEvent) error {
		read = append(read, e.ID)
		return nil
	}))
	require.Equal(t, storedIDs(t, hub, cfg.StreamName), read, "the tail is read by the same API")
}

// TestTwoStreamsThatCannotBeToldApart are those of two accounts, with one name: nothing of their answers tells them apart.
func TestTwoStreamsThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	s := startServer(t, accounts)
	game := s.admin(nats.UserInfo("game", "x"))
	cfg := configFor(t, s.url())
	cfg.User, cfg.Password, cfg.APIPrefix, cfg.PublishTimeout = "game", "x", "JS.hub.API", 300*time.Millisecond
	p, _ := connect(t, cfg)
	_, err := game.CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	events := testEvents(cfg, 50, 7)
	require.Eventually(t, func() bool {
		_, err = p.Publish(t.Context(), events)
		return kind(err) == "misconfigured"
	}, patience, 10*time.Millisecond)
	requireMisconfigured(t, err, "two streams called "+cfg.StreamName, "nats stream edit")
	_, err = p.Publish(t.Context(), events)
	requireMisconfigured(t, err)

	require.NoError(t, game.DeleteStream(t.Context(), cfg.StreamName))
	publishAll(t, p, events)
}

// TestAFullStreamOfAnotherAccount has the stream that was asked for refuse what its twin stores.
func TestAFullStreamOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := startServer(t, accounts)
	hub, game := s.admin(nats.UserInfo("hub", "x")), s.admin(nats.UserInfo("game", "x"))
	cfg := configFor(t, s.url())
	full := cfg.stream(true)
	full.MaxMsgs = 1
	_, err := hub.CreateStream(t.Context(), full)
	require.NoError(t, err)
	_, err = hub.Publish(t.Context(), testEvents(cfg, 1, 0)[0].Subject, nil)
	require.NoError(t, err)
	_, err = game.CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	cfg.User, cfg.Password, cfg.APIPrefix, cfg.PublishTimeout = "game", "x", "JS.hub.API", 300*time.Millisecond
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 50, 7)
	for range 5 {
		outcomes, err := p.Publish(t.Context(), events)
		require.Error(t, err)
		for _, outcome := range outcomes {
			require.False(t, outcome.Stored, "the stream has none of them")
		}
	}
}

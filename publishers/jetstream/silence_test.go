package jetstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// swallow makes a server leave the events of a subject without an answer. Where a stream is named it answers probes, as
// one does whose disk is full; otherwise a subscriber has the subject.
func swallow(t *testing.T, s *testServer, from, stream string) (restore func()) {
	t.Helper()
	const to = "swallowed"
	nc := s.admin().Conn()
	_, err := nc.Subscribe(to, func(msg *nats.Msg) {
		if stream != "" && msg.Header.Get(headerExpectedStream) != "" {
			_ = msg.Respond(fmt.Appendf(nil, `{"error":{"code":400,"err_code":10060},"stream":%q,"seq":0}`, stream))
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	account := s.running.GlobalAccount()
	require.NoError(t, account.AddWeightedMappings(from, server.NewMapDest(to, 100)))
	return func() { account.RemoveMapping(from) }
}

// A stream that answers questions and stores nothing is told from one that was slow once.
func TestAStreamThatStoresNothing(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		cfg := configFor(t, s.url())
		cfg.PublishTimeout = 200 * time.Millisecond
		cfg = prepare(t, s, cfg)
		p, _ := connect(t, cfg)
		eventually(t, p, testEvents(cfg, 10, 3))
		state, err := p.Inspect(t.Context())
		require.NoError(t, err)
		p.Accept(state)
		events := testEvents(cfg, 10, 3)
		restore := swallow(t, s, events[0].Subject, cfg.StreamName)
		var stalled *relay.StalledError
		for range 3 {
			outcomes, err := p.Publish(t.Context(), events)
			require.ErrorAs(t, err, &stalled)
			require.Equal(t, uint64(10), stalled.State.Last)
			require.ErrorContains(t, err, "no acknowledgement of")
			require.ErrorContains(t, err, "stays at sequence 10")
			require.ErrorContains(t, err, "check the disk and the log")
			require.Equal(t, make([]relay.Outcome, 10), outcomes)
		}
		restore()
		eventually(t, p, events)
		require.Len(t, storedIDs(t, s.admin(), cfg.StreamName), 20)
	})
}

// One event that gets no answer is not a stream that stores nothing, while that one stores others.
func TestOneEventWithoutAnAnswerIsNoStall(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		cfg := configFor(t, s.url())
		cfg.PublishTimeout = 200 * time.Millisecond
		cfg = prepare(t, s, cfg)
		p, _ := connect(t, cfg)
		lost := testEvents(cfg, 1, 0)[0]
		lost.Subject += ".lost"
		swallow(t, s, lost.Subject, cfg.StreamName)
		var stored int
		for range 4 { // in a batch whose beginning it is, none is stored, and the next call is sent singly
			events := append([]relay.Event{lost}, testEvents(cfg, 9, 0)...)
			outcomes, err := p.Publish(t.Context(), events)
			require.ErrorContains(t, err, "no acknowledgement of")
			require.Zero(t, outcomes[0])
			if outcomes[9].Stored {
				stored++
				require.NotErrorAs(t, err, new(*relay.StalledError))
				require.ErrorContains(t, err, "while stream")
			}
		}
		require.Positive(t, stored)
	})
}

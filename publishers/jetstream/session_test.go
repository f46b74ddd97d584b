package jetstream

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// eventually publishes until everything is stored.
func eventually(t *testing.T, p *Publisher, events []relay.Event) {
	t.Helper()
	require.Eventually(t, func() bool {
		outcomes, err := p.Publish(t.Context(), events)
		if err != nil {
			return false
		}
		for _, outcome := range outcomes {
			if !outcome.Stored {
				return false
			}
		}
		return true
	}, patience, 10*time.Millisecond)
}

func TestAnIdleRelayHealsAndSaysSo(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	s.stop()
	p, logs := newPublisher(t, cfg)
	require.Equal(t, "unavailable", kind(p.Connect(t.Context())))
	for range 5 {
		_, err := p.Publish(t.Context(), testEvents(cfg, 1, 1))
		require.Equal(t, "unavailable", kind(err))
		require.Contains(t, err.Error(), strings.TrimPrefix(cfg.NATSURL, "nats://"))
		require.Contains(t, err.Error(), "connection refused")
	}
	require.Len(t, logged(logs, "NATS JetStream is not ready; nothing is lost, events wait"), 1, "the same trouble is logged once")
	s.start()
	require.Eventually(t, func() bool { return len(logged(logs, connectedText)) == 1 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return len(logged(logs, "NATS JetStream is ready again")) == 1 }, patience, 10*time.Millisecond)
}

func TestTheModeIsAskedForAtEachConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	p, logs := connect(t, cfg)
	update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.AllowBatchPublish = false })
	s.stop()
	s.start()
	eventually(t, p, testEvents(cfg, 20, 3))
	require.Eventually(t, func() bool { return len(logged(logs, connectedText)) == 2 }, patience, 10*time.Millisecond)
	require.Equal(t, "fast ingest", logged(logs, connectedText)[0]["mode"])
	require.Equal(t, "keyed async", logged(logs, connectedText)[1]["mode"])
	require.Empty(t, logs.FilterMessageSnippet("fast ingest is refused").All())
}

// A server that sees a protocol violation closes the connection, and the library gives up for good.
func TestAConnectionThatIsClosedForGoodIsReplaced(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	p, logs := connect(t, cfg)
	eventually(t, p, testEvents(cfg, 10, 2))
	gone := p.session.nc
	require.NoError(t, gone.Publish(strings.Repeat("x", 5000), nil))
	require.Eventually(t, gone.IsClosed, patience, time.Millisecond)
	eventually(t, p, testEvents(cfg, 10, 2))
	require.Len(t, logged(logs, connectedText), 2)
}

// A server that does not read any more must not hold Publish and Close.
func TestAFrozenServerHoldsNothing(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		network := startProxy(t, s)
		cfg := prepare(t, s, configFor(t, network.url()))
		cfg.PublishTimeout = 20 * time.Second
		p, _ := connect(t, cfg)
		eventually(t, p, testEvents(cfg, 100, 7))

		// More than all buffers between the two hold.
		events := testEvents(cfg, 64, 7)
		for i := range events {
			events[i].Payload = bytes.Repeat([]byte("x"), 1<<19)
		}
		network.freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		outcomes, err := p.Publish(ctx, events)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(began), 5*time.Second)
		require.Len(t, outcomes, len(events))
		network.thaw()
		eventually(t, p, events)
		require.ElementsMatch(t, ids(events), storedIDs(t, s.admin(), cfg.StreamName)[100:])

		network.freeze()
		ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err = p.Publish(ctx, testEvents(cfg, 10, 2))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		began = time.Now()
		require.NoError(t, p.Close(ctx))
		require.Less(t, time.Since(began), 5*time.Second)
	})
}

// A connection that breaks while events are on their way is found out at once.
func TestABrokenConnectionIsFoundOutAtOnce(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		network := startProxy(t, s)
		cfg := prepare(t, s, configFor(t, network.url()))
		cfg.PublishTimeout = time.Minute
		p, _ := connect(t, cfg)
		for _, n := range []int{1, 100} {
			network.freeze()
			type result struct {
				outcomes []relay.Outcome
				err      error
			}
			done := make(chan result, 1)
			go func() {
				outcomes, err := p.Publish(t.Context(), testEvents(cfg, n, 3))
				done <- result{outcomes, err}
			}()
			require.Eventually(t, func() bool { return network.held() > 0 }, patience, time.Millisecond)
			network.cut()
			select {
			case r := <-done:
				require.Equal(t, "unavailable", kind(r.err), "%v", r.err)
				require.Equal(t, make([]relay.Outcome, n), r.outcomes)
			case <-time.After(cfg.PublishTimeout / 6): // asking the server would notice later
				t.Fatal("Publish does not notice")
			}
			network.thaw()
			eventually(t, p, testEvents(cfg, 10, 2))
		}
	})
}

// What the library would do by itself, and must not.
func TestSettingsOfTheConnection(t *testing.T) {
	t.Parallel()
	p, _ := connect(t, configFor(t, shared(t).url()))
	have := p.session.nc.Opts
	require.Equal(t, -1, have.ReconnectBufSize, "nothing is sent later than Publish said")
	require.Equal(t, -1, have.MaxReconnect)
	require.True(t, have.IgnoreAuthErrorAbort)
	require.True(t, have.ReconnectOnFlusherError)
	require.False(t, have.RetryOnFailedConnect)
	require.LessOrEqual(t, have.PingInterval*time.Duration(have.MaxPingsOut+1), 10*time.Second)
	require.Equal(t, p.cfg.PublishTimeout, have.FlusherTimeout)
}

// Silence is found out within publish_timeout, and told apart: here nothing answers at all.
func TestASilentServerIsUnavailable(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		network := startProxy(t, s)
		cfg := prepare(t, s, configFor(t, network.url()))
		cfg.PublishTimeout, cfg.ConnectTimeout = 200*time.Millisecond, 200*time.Millisecond
		p, _ := connect(t, cfg)
		network.freeze()
		for _, n := range []int{1, 100} {
			outcomes, err := p.Publish(t.Context(), testEvents(cfg, n, 3))
			require.Equal(t, "unavailable", kind(err), "%v", err)
			require.Equal(t, make([]relay.Outcome, n), outcomes)
		}
	})
}

// A stream that works, but did not acknowledge: nobody knows what became of the events.
func TestSilenceOfAWorkingStreamIsAmbiguous(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	l, err := p.ready(t.Context())
	require.NoError(t, err)
	err = newCall(t.Context(), l, nil, nil).explain(t.Context(), errNoAck)
	require.Equal(t, "retry", kind(err))
	require.ErrorIs(t, err, errNoAck)
}

// A stream that stops to acknowledge behind the publisher's back is found out.
func TestAStreamThatStopsToAcknowledge(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := shared(t)
		cfg := prepare(t, s, configFor(t, s.url()))
		cfg.PublishTimeout = 400 * time.Millisecond
		p, _ := connect(t, cfg)
		update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.NoAck, c.AllowBatchPublish = true, false })
		for _, n := range []int{1, 100} {
			outcomes, err := p.Publish(t.Context(), testEvents(cfg, n, 3))
			requireMisconfigured(t, err, "no_ack")
			require.Equal(t, make([]relay.Outcome, n), outcomes)
		}
	})
}

// Something that accepts connections and says nothing is no server.
func TestConnectIsBounded(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	cfg := configFor(t, "nats://"+listener.Addr().String())
	cfg.ConnectTimeout = 300 * time.Millisecond
	p, _ := newPublisher(t, cfg)
	began := time.Now()
	require.Equal(t, "unavailable", kind(p.Connect(t.Context())))
	require.Less(t, time.Since(began), 5*time.Second)

	cfg.ConnectTimeout = time.Minute
	slow, _ := newPublisher(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	_, err = slow.Publish(ctx, testEvents(cfg, 1, 1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, slow.Close(t.Context()))
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestOneOfSeveralServersIsEnough(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, "nats://127.0.0.1:1, "+s.url())
	requireWorks(t, cfg)
}

// More bytes than may be on their way, and more events: the window moves on.
func TestWindows(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "max_payload: 1114112")
		cfg := prepare(t, s, configFor(t, s.url()))
		p, _ := connect(t, cfg)
		large := testEvents(cfg, 40, 0)
		for i := range large {
			large[i].Payload = bytes.Repeat([]byte("x"), 1<<20)
		}
		many := testEvents(cfg, 3*windowEvents, 0)
		for _, events := range [][]relay.Event{large, many} {
			outcomes, err := p.Publish(t.Context(), events)
			require.NoError(t, err)
			requireStored(t, outcomes, 0, len(events)/2, len(events)-1)
		}
		require.Equal(t, append(ids(large), ids(many)...), storedIDs(t, s.admin(), cfg.StreamName))
	})
}

// While somebody else has a batch open, the server acknowledges in other steps.
func TestAnotherOpenBatch(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	js := s.admin()
	subject := testEvents(cfg, 1, 0)[0].Subject
	opened := make(chan struct{}, 10)
	inbox := js.Conn().NewInbox()
	_, err := js.Conn().Subscribe(inbox+".>", func(*natsMsg) { opened <- struct{}{} })
	require.NoError(t, err)
	require.NoError(t, js.Conn().PublishRequest(subject, inbox+".other.10.fail.1.0.$FI", nil))
	<-opened
	events := testEvents(cfg, 2*windowEvents, 7)
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	requireStored(t, outcomes, 0, len(events)-1)
}

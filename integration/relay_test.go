package integration_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay"
)

// startRelay runs a relay until the test ends, and returns it.
func startRelay(t testing.TB, url string, publisher relay.Publisher, change func(*relay.Config)) *relay.Relay {
	t.Helper()
	r, stop := runRelay(t, url, publisher, change)
	t.Cleanup(stop)
	return r
}

// runRelay runs a relay until stop is called.
func runRelay(t testing.TB, url string, publisher relay.Publisher, change func(*relay.Config)) (*relay.Relay, func()) {
	t.Helper()
	cfg := relay.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	return runRelayOf(t, cfg, url, relay.Options{Publisher: publisher})
}

// runRelayWith runs a relay with the default settings until stop is called.
func runRelayWith(t testing.TB, url string, opts relay.Options) (*relay.Relay, func()) {
	t.Helper()
	return runRelayOf(t, relay.DefaultConfig(), url, opts)
}

// runRelayOf runs a relay until stop is called. The options that are the same everywhere are added.
func runRelayOf(t testing.TB, cfg relay.Config, url string, opts relay.Options) (*relay.Relay, func()) {
	t.Helper()
	pool, err := relay.NewPool(t.Context(), url, 4)
	require.NoError(t, err)
	opts.Pool, opts.Logger, opts.SchemaVersion = pool, zaptest.NewLogger(t), migrations.Latest()
	r, err := relay.New(cfg, opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
		pool.Close()
	})
}

// requireSettled waits until nothing is left to publish: every row has a receipt, or is gone.
func requireSettled(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	require.Eventually(t, func() bool { return waiting(t, pool) == 0 }, 60*time.Second, 20*time.Millisecond,
		"outbox.events was not drained")
}

// waiting returns how many events have no receipt.
func waiting(t testing.TB, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.WithoutCancel(t.Context()), `
		with covered as (select range_agg(span) as ids from outbox.receipts, unnest(ids) as span)
		select count(*) from outbox.events as event, covered
		where covered.ids is null or not covered.ids @> event.id`).Scan(&n))
	return n
}

func rowCount(t testing.TB, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(context.WithoutCancel(t.Context()), "select count(*) from "+table).Scan(&n))
	return n
}

// stream is a JetStream stream of a test's own, as a client sees it that the project has not written.
type stream struct {
	url, name, subject string
	window             time.Duration // duplicate window; 0 for the default
}

// newStream names a stream; the relay's publisher creates it. Its subjects begin with subject. It is removed when the test ends, so
// that the test can be run again.
func newStream(t testing.TB, url, name string) stream {
	t.Helper()
	t.Cleanup(func() {
		nc, err := nats.Connect(url, nats.Timeout(time.Second))
		if err != nil {
			return // a server of the test's own, which goes away with the test
		}
		defer nc.Close()
		js, err := natsjs.New(nc, natsjs.WithDefaultTimeout(time.Second))
		require.NoError(t, err)
		_ = js.DeleteStream(context.Background(), name) // there may be none
	})
	return stream{url: url, name: name, subject: name}
}

// config returns the settings of a publisher to the stream.
func (s stream) config() jetstream.Config {
	cfg := jetstream.DefaultConfig()
	cfg.NATSURL, cfg.StreamName, cfg.Subjects = s.url, s.name, []string{s.subject + ".>"}
	cfg.ConnectTimeout, cfg.PublishTimeout = 2*time.Second, 2*time.Second
	if s.window > 0 {
		cfg.DuplicateWindow = s.window
	}
	return cfg
}

// publisher returns a publisher to the stream. It may not be connected yet, like a relay's that starts in an outage.
func (s stream) publisher(t testing.TB) *jetstream.Publisher {
	t.Helper()
	p, err := jetstream.New(s.config(), testLog(t))
	require.NoError(t, err)
	_ = p.Connect(t.Context()) // an outage at the start is part of some tests
	t.Cleanup(func() { require.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
	return p
}

func testLog(t testing.TB) *zap.Logger { return zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel)) }

// read returns everything that the stream holds, in order.
func (s stream) read(t testing.TB) []natsjs.Msg {
	t.Helper()
	nc, err := nats.Connect(s.url)
	require.NoError(t, err)
	defer nc.Close()
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	// A cluster whose leaders have just changed may refuse for a moment, and a consumer of it stay silent for ever; another one does not.
	deadline := time.Now().Add(2 * time.Minute)
	for {
		all, err := readAll(t.Context(), js, s.name)
		if err == nil || time.Now().After(deadline) {
			require.NoError(t, err)
			return all
		}
		<-time.After(50 * time.Millisecond)
	}
}

func readAll(ctx context.Context, js natsjs.JetStream, name string) ([]natsjs.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, name, natsjs.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	info, err := js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	left := info.CachedInfo().State.Msgs
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	all := make([]natsjs.Msg, 0, left)
	for ; left > 0; left-- {
		msg, err := messages.Next(natsjs.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		all = append(all, msg)
	}
	return all, nil
}

// moves returns the moves that the stream holds, in order.
func (s stream) moves(t testing.TB) []move {
	t.Helper()
	all := s.read(t)
	moves := make([]move, len(all))
	for i, msg := range all {
		require.NoError(t, json.Unmarshal(msg.Data(), &moves[i]))
	}
	return moves
}

// count returns how many events the stream holds; 0 while the server or the stream is away.
func (s stream) count() int {
	nc, err := nats.Connect(s.url, nats.Timeout(time.Second))
	if err != nil {
		return 0
	}
	defer nc.Close()
	js, err := natsjs.New(nc, natsjs.WithDefaultTimeout(time.Second))
	if err != nil {
		return 0
	}
	info, err := js.Stream(context.Background(), s.name)
	if err != nil {
		return 0
	}
	return int(info.CachedInfo().State.Msgs)
}

// unacknowledged returns how many events a durable consumer has still to get or to acknowledge; -1 while it cannot be asked.
func (s stream) unacknowledged(name string) int {
	nc, err := nats.Connect(s.url, nats.Timeout(time.Second))
	if err != nil {
		return -1
	}
	defer nc.Close()
	js, err := natsjs.New(nc, natsjs.WithDefaultTimeout(time.Second))
	if err != nil {
		return -1
	}
	durable, err := js.Consumer(context.Background(), s.name, name)
	if err != nil {
		return -1
	}
	return int(durable.CachedInfo().NumPending) + durable.CachedInfo().NumAckPending
}

// capture adds a subject to those of the stream.
func (s stream) capture(t testing.TB, subject string) {
	t.Helper()
	nc, err := nats.Connect(s.url)
	require.NoError(t, err)
	defer nc.Close()
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	existing, err := js.Stream(t.Context(), s.name)
	require.NoError(t, err)
	cfg := existing.CachedInfo().Config
	cfg.Subjects = append(cfg.Subjects, subject)
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
}

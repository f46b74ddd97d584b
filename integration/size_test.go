package integration_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay"
)

// The tests of this file have two sizes: a small one for every run, and with OUTBOX_TEST_SIZE=full (make full-size) the one that the
// promises of the documentation are about. They prove what came of it at both sizes, and tell how fast it was; speed is never
// a reason to fail, for it depends on what else the machine does.
func atSize[T any](small, full T) T {
	if os.Getenv("OUTBOX_TEST_SIZE") == "full" {
		return full
	}
	return small
}

// sized is a database and a stream of their own servers, so that nobody else's work is measured.
type sized struct {
	db     *harness.Database
	stream stream
}

func newSized(t *testing.T, settings map[string]string) sized {
	t.Helper()
	server := harness.StartPostgres(t, harness.PostgresOptions{Settings: settings})
	return sized{db: server.Database(t), stream: newStream(t, harness.StartNATS(t, harness.NATSOptions{}).URL, "sized")}
}

// fill empties everything and writes events of 256 bytes, of one thousand keys. One in poison, if that is not 0, is larger than the
// stream takes.
func (s sized) fill(t *testing.T, events, poison int) {
	t.Helper()
	_, err := s.db.Pool.Exec(t.Context(), "truncate outbox.events, outbox.receipts, outbox.positions, outbox.dead_letters")
	require.NoError(t, err)
	_, err = s.db.Pool.Exec(t.Context(), `insert into outbox.events (subject, key, payload)
		select 'sized.x', (i % 1000)::text, decode(repeat('ab', case when $2 > 0 and i % $2 = 0 then 1024 else 256 end), 'hex')
		from generate_series(1, $1::int) as i`, events, poison)
	require.NoError(t, err)
	_, err = s.db.Pool.Exec(t.Context(), "vacuum analyze outbox.events")
	require.NoError(t, err)
	admin := s.stream.admin(t)
	_ = admin.DeleteStream(t.Context(), s.stream.name) // there may be none
	_, err = admin.CreateStream(t.Context(), natsjs.StreamConfig{
		Name: s.stream.name, Subjects: []string{s.stream.subject + ".>"}, AllowBatchPublish: true, MaxMsgSize: 1024,
	})
	require.NoError(t, err)
}

// drain runs a relay until so many events are published and nothing waits, and returns how many a second it published.
func (s sized) drain(t *testing.T, retention time.Duration, good, dead int) float64 {
	t.Helper()
	p, err := jetstream.New(s.stream.config(), zap.NewNop())
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, p.Connect(t.Context()))
	cfg := relay.DefaultConfig()
	cfg.Retention = retention
	pool, err := relay.NewPool(t.Context(), s.db.URL, 4)
	require.NoError(t, err)
	defer pool.Close()
	r, err := relay.New(cfg, relay.Options{Pool: pool, Publisher: p, SchemaVersion: migrations.Latest()})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- r.Run(ctx) }()
	const patience = 20 * time.Minute
	require.Eventually(t, func() bool { return r.Status().Published >= uint64(good) }, patience, time.Millisecond)
	took := time.Since(began)
	require.Eventually(t, func() bool { return r.Status().DeadLetters >= uint64(dead) }, patience, time.Millisecond)
	stop()
	require.NoError(t, <-done)
	require.Zero(t, waiting(t, s.db.Pool))
	require.EqualValues(t, good, r.Status().Published)
	require.Equal(t, good, s.stream.count())
	return float64(good) / took.Seconds()
}

// TestSizePoison has one event in eleven refused for good. All others are published, and the refused ones are kept.
func TestSizePoison(t *testing.T) {
	good := atSize(10_000, 1_000_000)
	dead := good / 10
	s := newSized(t, nil)
	retention := relay.DefaultConfig().Retention
	var without, with []float64
	for range passes() {
		s.fill(t, good, 0)
		without = append(without, s.drain(t, retention, good, 0))
		s.fill(t, good+dead, 11)
		with = append(with, s.drain(t, retention, good, dead))
		require.Equal(t, dead, rowCount(t, s.db.Pool, "outbox.dead_letters"))
	}
	t.Logf("%d good events alone: %s; among %d poison events: %s; ratio %.2f", good, rates(without), dead, rates(with),
		median(with)/median(without))
}

// passes is how often each rate is measured, in turn: the machine is never quite quiet.
func passes() int { return atSize(1, 3) }

func rates(seen []float64) string {
	return fmt.Sprintf("%.0f a second (median of %.0f)", median(seen), seen)
}

func median(seen []float64) float64 {
	sorted := slices.Sorted(slices.Values(seen))
	return sorted[len(sorted)/2]
}

// TestSizeSnapshot drains beside a transaction that keeps a snapshot from before the first event, with and without retention.
func TestSizeSnapshot(t *testing.T) {
	events := atSize(20_000, 2_000_000)
	s := newSized(t, nil)
	type situation struct {
		retention time.Duration
		held      bool
	}
	seen := map[situation][]float64{}
	kept, deleted := relay.DefaultConfig().Retention, time.Duration(0)
	for range passes() {
		for _, at := range []situation{{kept, false}, {kept, true}, {deleted, false}, {deleted, true}} {
			s.fill(t, events, 0)
			release := func() {}
			if at.held {
				release = s.holdSnapshot(t)
			}
			seen[at] = append(seen[at], s.drain(t, at.retention, events, 0))
			release()
		}
	}
	for _, retention := range []time.Duration{kept, deleted} {
		alone, beside := seen[situation{retention, false}], seen[situation{retention, true}]
		t.Logf("%d events, retention %v: %s; beside a snapshot: %s; ratio %.2f", events, retention, rates(alone), rates(beside),
			median(beside)/median(alone))
	}
	t.Logf("retention %v / retention 0: ratio %.2f", kept, median(seen[situation{kept, false}])/median(seen[situation{deleted, false}]))
}

// TestSizePurge drains for longer than the retention, so that the purge has as much to do as the publishing.
func TestSizePurge(t *testing.T) {
	events := atSize(20_000, 1_000_000)
	s := newSized(t, nil)
	var deleted, purged []float64
	for range passes() {
		s.fill(t, events, 0)
		deleted = append(deleted, s.drain(t, 0, events, 0))
		s.fill(t, events, 0)
		purged = append(purged, s.drain(t, time.Second, events, 0))
		t.Logf("%d of %d rows were left to purge at the end", rowCount(t, s.db.Pool, "outbox.events"), events)
	}
	t.Logf("%d events, retention 0: %s; with the purge at work: %s; ratio %.2f", events, rates(deleted), rates(purged),
		median(purged)/median(deleted))
}

// holdSnapshot keeps dead rows from being removed until release is called.
func (s sized) holdSnapshot(t *testing.T) (release func()) {
	t.Helper()
	tx, err := s.db.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select count(*) from outbox.schema_version") // takes the snapshot
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(t.Context())) }
}

// TestSizeSteadyState writes at a steady rate for several retentions: after the first one the table stays as large as it is.
func TestSizeSteadyState(t *testing.T) {
	t.Parallel() // it takes long, and a rate is given and not measured
	retention := atSize(3*time.Second, 5*time.Minute)
	rate := atSize(500, 2000)
	// The small size cannot wait for the minute between two looks of autovacuum.
	s := newSized(t, atSize(map[string]string{"autovacuum_naptime": "1s"}, nil))
	s.fill(t, 0, 0)
	// The table is vacuumed after so many rows, which is little at full size.
	_, err := s.db.Pool.Exec(t.Context(), fmt.Sprintf("alter table outbox.events set (autovacuum_vacuum_threshold = %d)", atSize(100, 20_000)))
	require.NoError(t, err)
	r := startRelay(t, s.db.URL, s.stream.publisher(t), func(c *relay.Config) { c.Retention = retention })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() { done <- s.write(ctx, rate) }()
	defer stop()

	// It has come to rest when a period has added nothing worth telling.
	var sizes []int64
	grown := func() float64 {
		return float64(sizes[len(sizes)-1]) / float64(sizes[len(sizes)-2])
	}
	for period := 1; period <= 3 || grown() > 1.05; period++ {
		require.LessOrEqual(t, period, 10, "the table grows: %v", sizes)
		<-time.After(retention + retention/5) // a period's length is what the test is about
		size, rows := s.size(t), rowCount(t, s.db.Pool, "outbox.events")
		t.Logf("period %d: %d rows, %d KiB, %d receipts, backlog %d", period, rows, size>>10, rowCount(t, s.db.Pool, "outbox.receipts"),
			r.Status().Backlog.Events)
		require.LessOrEqual(t, float64(rows), 1.5*float64(rate)*(retention+2*time.Second).Seconds()*1.1, "the purge keeps up")
		sizes = append(sizes, size)
	}
	stop()
	written := <-done
	requireSettled(t, s.db.Pool)
	require.Equal(t, written, s.stream.count())
	t.Logf("%d events; the bytes of the table after each period: %v", written, sizes)
}

// size returns the bytes of the table of events with its index.
func (s sized) size(t *testing.T) (bytes int64) {
	t.Helper()
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select pg_total_relation_size('outbox.events')").Scan(&bytes))
	return bytes
}

// write commits about rate events a second, a hundredth of a second's worth each time, and returns how many.
func (s sized) write(ctx context.Context, rate int) (written int) {
	pool, err := pgxpool.New(ctx, s.db.URL)
	if err != nil {
		return 0
	}
	defer pool.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return written
		case <-tick.C:
		}
		_, err := pool.Exec(context.WithoutCancel(ctx), `insert into outbox.events (subject, key, payload)
			select 'sized.x', (i % 1000)::text, decode(repeat('ab', 256), 'hex') from generate_series(1, $1::int) as i`, rate/100)
		if err == nil {
			written += rate / 100
		}
	}
}

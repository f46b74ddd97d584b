package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// shortWindow is how long the stream of some tests recognises an event: less than the crash that they are about.
const shortWindow = time.Second

// TestACrashLongerThanTheDuplicateWindow kills the relay between publish and settle, and starts it again when the stream has
// forgotten the ids: what had been published is found in the stream, and nothing is stored twice. So it is where no consumer can be
// made to look for it.
func TestACrashLongerThanTheDuplicateWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		retention   string
		noConsumers bool
	}{"retained": {retention: "5m"}, "removed": {retention: "0s"}, "no-consumers": {retention: "5m", noConsumers: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			s := newStream(t, harness.NATS(t), "forgotten-"+name)
			allowConsumers := func() {}
			if c.noConsumers {
				allowConsumers = s.takeConsumers(t)
			}
			g := newGame(t, db, 30, s.subject)
			p := newProcess(t, db.URL, s, "OUTBOX_MQ_DUPLICATE_WINDOW="+shortWindow.String(), "OUTBOX_RELAY_RETENTION="+c.retention)
			p.start()
			p.requireReady()
			g.run(t, 4, time.Second)
			requireSettled(t, db.Pool)

			// From now on nothing can be settled.
			lock, err := db.Pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
			_, err = lock.Exec(t.Context(), "lock table outbox.positions in exclusive mode")
			require.NoError(t, err)
			settled := s.count()
			g.run(t, 4, time.Second)
			require.Eventually(t, func() bool { return s.count() > settled }, 20*time.Second, 20*time.Millisecond)
			p.kill()
			// A statement that waits for a lock is carried out even though its client is dead.
			_, err = db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid, 10000) from pg_stat_activity
				where application_name = 'outbox-relay' and datname = current_database()`)
			require.NoError(t, err)
			require.NoError(t, lock.Rollback(t.Context()))
			<-time.After(2 * shortWindow) // the crash's length is what the test is about
			inFlight := s.count() - settled

			g.run(t, 4, time.Second) // events that were never published wait beside those that were
			p.start()
			requireSettled(t, db.Pool)
			p.stop()
			allowConsumers()
			g.requireWhole(t, s.moves(t))
			require.Contains(t, p.output.String(), fmt.Sprintf(`"found":%d`, inFlight))
			require.Equal(t, c.noConsumers, strings.Contains(p.output.String(), "max_consumers: have 1"), "a difference is told")
		})
	}
}

// takeConsumers makes the stream with the only consumer that it allows, and returns what removes that.
func (s stream) takeConsumers(t testing.TB) (remove func()) {
	t.Helper()
	nc, err := nats.Connect(s.url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	made, err := js.CreateStream(t.Context(), natsjs.StreamConfig{
		Name: s.name, Subjects: []string{s.subject + ".>"}, MaxConsumers: 1, Duplicates: shortWindow, AllowBatchPublish: true,
	})
	require.NoError(t, err)
	_, err = made.CreateConsumer(t.Context(), natsjs.ConsumerConfig{Durable: "game"})
	require.NoError(t, err)
	return func() { require.NoError(t, made.DeleteConsumer(t.Context(), "game")) }
}

// TestKillNineWithoutDedup kills the relay again and again, each time for longer than the stream remembers.
func TestKillNineWithoutDedup(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "no-dedup")
	g := newGame(t, db, 30, s.subject)
	p := newProcess(t, db.URL, s, "OUTBOX_MQ_DUPLICATE_WINDOW="+shortWindow.String())
	stopGame := g.start(t, 4)
	for range 6 {
		p.start()
		before := s.count()
		require.Eventually(t, func() bool { return s.count() > before }, 20*time.Second, 5*time.Millisecond, "nothing is published")
		pauseAtRandom(500 * time.Millisecond)
		p.kill()
		<-time.After(2 * shortWindow) // the crash's length is what the test is about
	}
	stopGame()
	p.start()
	requireSettled(t, db.Pool)
	p.stop()
	g.requireWhole(t, s.moves(t))
	t.Logf("%d events, %d found in the stream by the last relay's log: %v", s.count(), strings.Count(p.output.String(), `"found":`), p.output.Len())
}

// TestAnEmptiedTableIsNoReceipt puts other events under the ids of those that are published and not settled yet, as somebody does who
// empties the table and starts its sequence again: they are published too.
func TestAnEmptiedTableIsNoReceipt(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "emptied")
	startRelay(t, db.URL, s.publisher(t), nil)
	publishOne(t, db, s.subject+".before")
	requireSettled(t, db.Pool)
	write := func(subject string, events int) {
		_, err := db.Pool.Exec(t.Context(), "insert into outbox.events (subject, payload) select $1, '' from generate_series(1, $2::int)",
			s.subject+"."+subject, events)
		require.NoError(t, err)
	}
	lock, err := db.Pool.Begin(t.Context()) // from now on nothing can be settled
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "lock table outbox.positions in exclusive mode")
	require.NoError(t, err)
	write("old", 20)
	require.Eventually(t, func() bool { return s.count() == 21 }, 20*time.Second, 10*time.Millisecond)
	_, err = db.Pool.Exec(t.Context(), "delete from outbox.events where id > 1; alter sequence outbox.events_id_seq restart with 2")
	require.NoError(t, err)
	write("new", 5)
	require.NoError(t, lock.Rollback(t.Context()))
	require.Eventually(t, func() bool { return s.count() == 26 }, 30*time.Second, 10*time.Millisecond, "the new events are lost")
	requireSettled(t, db.Pool)
}

// TestReceiptsAreFewAndExact lets a trickle and a flood pass, and compares what the receipts say with the stream.
func TestReceiptsAreFewAndExact(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "exact")
	startRelay(t, db.URL, s.publisher(t), nil)
	for range 100 { // each is seen alone
		before := s.count()
		publishOne(t, db, s.subject+".trickle")
		require.Eventually(t, func() bool { return s.count() > before }, 10*time.Second, time.Millisecond)
	}
	requireSettled(t, db.Pool)
	require.LessOrEqual(t, rowCount(t, db.Pool, "outbox.receipts"), 10, "a trickle extends a receipt")

	_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (subject, payload) select 'exact.flood', '' from generate_series(1, 30000)`)
	require.NoError(t, err)
	requireSettled(t, db.Pool)
	require.Equal(t, 30100, rowCount(t, db.Pool, "outbox.events"), "they are retained")
	require.Less(t, rowCount(t, db.Pool, "outbox.receipts"), 30)

	var covered, events, last int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select (select sum(upper(span) - lower(span)) from outbox.receipts, unnest(ids) as span),
		(select sum(events) from outbox.receipts), (select last_sequence from outbox.positions order by id desc limit 1)`).Scan(&covered, &events, &last))
	require.Equal(t, 30100, covered)
	require.Equal(t, 30100, events)
	require.Equal(t, 30100, last)
	for _, msg := range s.read(t)[:200] {
		meta, err := msg.Metadata()
		require.NoError(t, err)
		var inside bool
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select exists (select from outbox.receipts
			where ids @> $1::text::bigint and $2::bigint between first_sequence and last_sequence)`,
			msg.Headers().Get("Outbox-Seq"), int64(meta.Sequence.Stream)).Scan(&inside))
		require.True(t, inside, "event %s is at %d", msg.Headers().Get("Outbox-Seq"), meta.Sequence.Stream)
	}
}

// TestThePurgeKeepsUp lets more than the retention pass at full speed: the table stays as small as the retention.
func TestThePurgeKeepsUp(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "purged")
	g := newGame(t, db, 30, s.subject)
	r := startRelay(t, db.URL, s.publisher(t), func(c *relay.Config) { c.Retention = time.Second })
	g.run(t, 8, 8*time.Second)
	requireSettled(t, db.Pool)
	committed := total(g.committed(t))
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.events") == 0 }, 10*time.Second, 50*time.Millisecond)
	require.Zero(t, rowCount(t, db.Pool, "outbox.receipts"))
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.positions where kept_from is null") == 1 }, 10*time.Second, 50*time.Millisecond)
	g.requireWhole(t, s.moves(t))
	require.Equal(t, committed, s.count())
	publishOne(t, db, s.subject+".after") // an outbox without receipts goes on
	require.Eventually(t, func() bool { return s.count() == committed+1 }, 10*time.Second, 10*time.Millisecond)
	require.Nil(t, r.Status().Loss)
}

// TestPurgeYieldsToALock holds rows of receipts: the purge takes others, fails for a while, and recovers by itself.
func TestPurgeYieldsToALock(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, func(c *relay.Config) { c.Retention = time.Second })
	requireFlow(t, db, broker)
	requireSettled(t, db.Pool)
	lock, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "select from outbox.receipts for update")
	require.NoError(t, err)
	requireFlow(t, db, broker) // publishing does not wait
	require.NoError(t, lock.Rollback(t.Context()))
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.events") == 0 }, 2*time.Minute, 50*time.Millisecond)
}

// rowsRead returns how many rows of the table of events were read along an index, by everybody. No relay may run.
func rowsRead(t *testing.T, db *harness.Database) (n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		var sessions int // they hand in what they have read before they are gone
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and application_name = 'outbox-relay'`).Scan(&sessions))
		return sessions == 0
	}, 10*time.Second, 50*time.Millisecond)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select pg_stat_clear_snapshot(), idx_tup_fetch from pg_stat_user_tables
		where relid = 'outbox.events'::regclass`).Scan(nil, &n))
	return n
}

// TestSettlingReadsOnlyWhatItRemoves drains a backlog without retention, where the statistics are those of an empty table: no statement may
// read all that waits for the few events that it removes.
func TestSettlingReadsOnlyWhatItRemoves(t *testing.T) {
	t.Parallel()
	const events = 100_000
	db := harness.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), "analyze outbox.events")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `insert into outbox.events (subject, payload) select 'game.x', '' from generate_series(1, $1)`, events)
	require.NoError(t, err)
	broker := &memory{}
	_, stop := runRelay(t, db.URL, broker, func(c *relay.Config) { c.Retention = 0 })
	require.Eventually(t, func() bool { return broker.count() == events }, time.Minute, 20*time.Millisecond)
	stop() // settles what was published
	require.Less(t, rowsRead(t, db), int64(3*events), "once to publish, once to remove, and some to measure the backlog")
	require.Zero(t, rowCount(t, db.Pool, "outbox.events"))
}

// TestRetainedRowsAreNotReadAgain restarts a relay over many retained rows: a new session begins behind them.
func TestRetainedRowsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "retained")
	_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (subject, payload) select 'retained.x', '' from generate_series(1, 100000)`)
	require.NoError(t, err)
	_, stop := runRelay(t, db.URL, s.publisher(t), nil)
	requireSettled(t, db.Pool)
	stop()
	before := rowsRead(t, db)
	require.GreaterOrEqual(t, before, int64(100_000), "read once")
	r, stop := runRelay(t, db.URL, s.publisher(t), func(c *relay.Config) { c.SweepInterval = time.Second })
	publishOne(t, db, s.subject+".after")
	require.Eventually(t, func() bool { return s.count() == 100_001 }, 20*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return r.Status().Backlog.Events == 0 && !r.Status().Backlog.At.IsZero() }, 20*time.Second, 10*time.Millisecond)
	<-time.After(3 * time.Second) // some sweeps and measurements
	stop()
	require.Less(t, rowsRead(t, db)-before, int64(1000))
	b, err := relay.ReadBacklog(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Zero(t, b.Events)
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, outbox.Raw{Subject: "retained.y"}))
	b, err = relay.ReadBacklog(t.Context(), db.Pool)
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Events)
	require.True(t, b.Exact)
}

// TestAnOutageLongerThanTheDuplicateWindow kills the server in the middle of a drain, when it has stored much of which the relay does
// not know, and starts it when it has forgotten the ids. The relay itself goes on all the time.
func TestAnOutageLongerThanTheDuplicateWindow(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.15", "2.10"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			server := harness.StartNATS(t, harness.NATSOptions{Version: version})
			s := newStream(t, server.URL, "outlasted")
			s.window = shortWindow
			startRelay(t, db.URL, s.publisher(t), nil)
			const events = 60_000
			_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (subject, key, payload)
				select 'outlasted.x', (i % 1000)::text, decode(repeat('ab', 1000), 'hex') from generate_series(1, $1::int) as i`, events)
			require.NoError(t, err)
			for stage := 1; stage <= 3; stage++ {
				require.Eventually(t, func() bool { return s.count() > stage*events/5 }, 30*time.Second, time.Millisecond)
				server.Kill()
				<-time.After(2 * shortWindow) // the outage's length is what the test is about
				server.Start()
			}
			requireSettled(t, db.Pool)
			require.Equal(t, events, s.count(), "each event is stored once")
		})
	}
}

package integration_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

const insertMany = `insert into outbox.events (subject, payload) select 'game.bulk', 'x' from generate_series(1, $1)`

// requireFlow fails unless an event that is committed now is published soon, whatever else is going on.
func requireFlow(t testing.TB, db *harness.Database, broker *memory) {
	t.Helper()
	before := broker.count()
	publishOne(t, db, "game.flow")
	require.Eventually(t, func() bool { return broker.count() > before }, 10*time.Second, time.Millisecond, "an event was delayed")
}

// TestALateCommitIsNotMissed is the oldest trap of polling relays: a lower id becomes visible after a higher one.
func TestALateCommitIsNotMissed(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"commit", "rollback", "prepare transaction 'late'"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{}
			if ending == "prepare transaction 'late'" {
				settings["max_prepared_transactions"] = "20"
			}
			db := harness.StartPostgres(t, harness.PostgresOptions{Settings: settings}).Database(t)
			broker := &memory{}
			r := startRelay(t, db.URL, broker, nil)
			late, err := db.Pool.Acquire(t.Context())
			require.NoError(t, err)
			defer late.Release()
			exec := func(sql string) {
				t.Helper()
				_, err := late.Exec(t.Context(), sql)
				require.NoError(t, err)
			}
			exec("begin")
			exec("insert into outbox.events (subject, payload) values ('game.late', 'x')")
			for range 20 { // others pass it, and are not delayed by it
				requireFlow(t, db, broker)
			}
			exec(ending)
			want := 21
			switch ending {
			case "rollback":
				want = 20
			case "prepare transaction 'late'":
				requireFlow(t, db, broker)
				want = 22
				exec("commit prepared 'late'")
			}
			require.Eventually(t, func() bool { return broker.count() == want }, 5*time.Second, time.Millisecond)
			requireFlow(t, db, broker)
			requireSettled(t, db.Pool)
			require.Zero(t, r.Status().Duplicates)
		})
	}
}

// TestAnExplicitDrawIsWaitedFor covers ids that were drawn without an insert, and inserts in savepoints.
func TestAnExplicitDrawIsWaitedFor(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, nil)
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(t.Context(), "select nextval('outbox.events_id_seq')").Scan(&id); err != nil {
			return err
		}
		requireFlow(t, db, broker)
		err := pgx.BeginFunc(t.Context(), tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(t.Context(), "insert into outbox.events (subject, payload) values ('game.undone', 'x')")
			require.NoError(t, err)
			return errRollback
		})
		require.ErrorIs(t, err, errRollback)
		requireFlow(t, db, broker)
		_, err = tx.Exec(t.Context(), "insert into outbox.events (id, subject, payload) overriding system value values ($1, 'game.drawn', 'x')", id)
		return err
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return broker.count() == 3 }, 5*time.Second, time.Millisecond)
	requireSettled(t, db.Pool)
}

// TestAnAbortedBulkInsertCostsNothing rolls back 100,000 events while others are written.
func TestAnAbortedBulkInsertCostsNothing(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	r := startRelay(t, db.URL, broker, nil)
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), insertMany, 100_000)
		require.NoError(t, err)
		for range 10 {
			requireFlow(t, db, broker)
		}
		return errRollback
	})
	require.ErrorIs(t, err, errRollback)
	requireFlow(t, db, broker)
	requireSettled(t, db.Pool)
	require.Equal(t, 11, broker.count())
	require.Zero(t, r.Status().Duplicates)
}

// TestABulkInsertThatCommitsLateArrivesInOrder does the same with a commit: 100,000 events fill one gap at once.
func TestABulkInsertThatCommitsLateArrivesInOrder(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, nil)
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), insertMany, 100_000)
		require.NoError(t, err)
		for range 10 {
			requireFlow(t, db, broker)
		}
		return nil
	})
	require.NoError(t, err)
	requireSettled(t, db.Pool)
	require.Equal(t, 100_010, broker.count())
	last := int64(0)
	for _, event := range broker.stored {
		if event.Subject == "game.bulk" {
			require.Greater(t, event.ID, last)
			last = event.ID
		}
	}
}

// TestALongTransactionWithRollbacks keeps one transaction open while thousands roll back: the gaps of all of them wait for it.
func TestALongTransactionWithRollbacks(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	g := newGame(t, db, 30, "game")
	broker := &memory{}
	startRelay(t, db.URL, broker, nil)
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "select nextval('outbox.events_id_seq')")
		require.NoError(t, err)
		g.run(t, 6, 8*time.Second)
		requireSettled(t, db.Pool) // nobody waits for it
		return nil
	})
	require.NoError(t, err)
	g.run(t, 2, time.Second)
	requireSettled(t, db.Pool)
	g.requireWhole(t, broker.moves(t))
}

// TestAnotherDatabasesTransactionDelaysNothing is where readers that wait for the oldest transaction of the server stand still.
func TestAnotherDatabasesTransactionDelaysNothing(t *testing.T) {
	t.Parallel()
	db, other := harness.Postgres(t), harness.EmptyPostgres(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, nil)
	err := pgx.BeginFunc(t.Context(), other.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "create table held (x int)") // takes a transaction id
		require.NoError(t, err)
		for range 10 {
			requireFlow(t, db, broker)
		}
		return nil
	})
	require.NoError(t, err)
	requireSettled(t, db.Pool)
}

// TestTheSweepFindsWhatIsBehindTheReader puts an event where no writer can: below the head, long after its time.
func TestTheSweepFindsWhatIsBehindTheReader(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, func(c *relay.Config) { c.SweepInterval = time.Second })
	requireFlow(t, db, broker)
	var forgotten int64 // nobody will use it, and the relay finds that out
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select nextval('outbox.events_id_seq')").Scan(&forgotten))
	for range 4 {
		requireFlow(t, db, broker)
	}
	requireSettled(t, db.Pool)
	_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (id, subject, payload) overriding system value
		values ($1, 'game.forgotten', 'x')`, forgotten)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return broker.count() == 6 }, 10*time.Second, 10*time.Millisecond)
	requireSettled(t, db.Pool)
}

// TestPayloadsOfAllSizes mixes them: most are small, as the reader expects after some, and a few are larger than that or than a batch.
func TestPayloadsOfAllSizes(t *testing.T) {
	t.Parallel()
	const events, large, huge, room = 40_000, 700, 9_000, 512 << 10
	sizeOf := func(id int64) int {
		switch {
		case id%huge == 0:
			return 1 << 20
		case id%large == 0:
			return 20_000 + int(id%10_000)
		}
		return int(id % 300)
	}
	db := harness.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (subject, key, payload) select 'game.mixed', 'k' || i % 100, decode(repeat('ab',
		case when i % $2 = 0 then 1 << 20 when i % $3 = 0 then 20000 + i % 10000 else i % 300 end), 'hex') from generate_series(1, $1::int) as i`,
		events, huge, large)
	require.NoError(t, err)
	most, reads := 0, 0
	broker := &memory{fault: func(events []relay.Event) ([]relay.Outcome, error) {
		size, largest := 0, 0
		for i := range events {
			size, largest = size+len(events[i].Payload), max(largest, len(events[i].Payload))
		}
		most, reads = max(most, size-largest), reads+1
		return nil, nil
	}}
	startRelay(t, db.URL, broker, func(cfg *relay.Config) { cfg.BatchBytes = room })
	requireSettled(t, db.Pool)
	broker.mu.Lock()
	defer broker.mu.Unlock()
	require.Len(t, broker.stored, events)
	for i, event := range broker.stored {
		require.Equal(t, int64(i+1), event.ID)
		require.Len(t, event.Payload, sizeOf(event.ID))
	}
	require.Less(t, most, room, "but for one event a batch holds batch_bytes")
	require.Less(t, reads, 100+3*events/large, "a large payload ends a batch, and those after it are as large as before")
}

// TestLargePayloadsAreBoundedInMemory lets 300 MiB wait, 1 MiB each, and watches the heap.
func TestLargePayloadsAreBoundedInMemory(t *testing.T) {
	db := harness.Postgres(t)
	for range 300 {
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, outbox.Raw{Subject: "game.large", Payload: make([]byte, 1<<20)}))
	}
	peak := &heapPeak{}
	startRelay(t, db.URL, peak, nil)
	requireSettled(t, db.Pool)
	require.Equal(t, 300, peak.events)
	require.LessOrEqual(t, peak.largest, 6, "a batch holds about batch_bytes")
	require.Less(t, peak.heap, uint64(64<<20), "three batches of 4 MiB, and what the driver needs")
}

// heapPeak is a broker that takes everything and notes how much memory is live meanwhile.
type heapPeak struct {
	events, largest int
	heap            uint64
}

func (p *heapPeak) Name() string                { return "heap" }
func (p *heapPeak) Close(context.Context) error { return nil }

func (p *heapPeak) Publish(_ context.Context, events []relay.Event) ([]relay.Outcome, error) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	p.heap = max(p.heap, stats.HeapAlloc)
	p.largest = max(p.largest, len(events))
	p.events += len(events)
	outcomes := make([]relay.Outcome, len(events))
	for i := range events {
		if len(events[i].Payload) != 1<<20 {
			return outcomes, fmt.Errorf("payload of %d bytes", len(events[i].Payload))
		}
		outcomes[i].Stored = true
	}
	return outcomes, nil
}

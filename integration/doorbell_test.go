package integration_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// awake bounds the wait for an event that wakes the relay: half of the time after which one that
// sleeps looks by itself.
const awake = 2500 * time.Millisecond

// hardlyPolls lets a relay look by itself so rarely that only the doorbell can explain that an event arrives soon.
func hardlyPolls(c *relay.Config) { c.PollInterval = time.Minute }

// sleeper returns the server's process in which the relay sleeps; 0 if it is awake, or an open transaction keeps it so.
func sleeper(t testing.TB, db *harness.Database) (pid int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select case when last_value > 1 then last_value else 0 end from outbox.waker`).Scan(&pid))
	return pid
}

func requireAsleep(t testing.TB, db *harness.Database) {
	t.Helper()
	require.Eventually(t, func() bool { return sleeper(t, db) != 0 }, 20*time.Second, time.Millisecond, "the relay does not fall asleep")
}

// soon fails unless the broker gets its n-th event soon.
func (m *memory) soon(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return m.count() >= n }, awake, 100*time.Microsecond, "an event did not wake the relay")
}

func TestACommitWakesAnIdleRelay(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	broker := &memory{}
	r := startRelay(t, db.URL, broker, hardlyPolls)
	var took []time.Duration
	for i := range 30 {
		requireAsleep(t, db)
		publishOne(t, db, "game.waking")
		committed := time.Now()
		broker.soon(t, i+1)
		took = append(took, time.Since(committed))
	}
	slices.Sort(took)
	t.Logf("from the commit to the broker: median %s, longest %s", took[len(took)/2], took[len(took)-1])
	require.Less(t, took[len(took)/2], relay.DefaultConfig().PollInterval/2)
	requireSettled(t, db.Pool)
	require.Eventually(t, func() bool { return r.Status().Backlog.Events == 0 }, 10*time.Second, 10*time.Millisecond,
		"a relay that sleeps knows what is settled")
}

// TestABurstIsReadToItsEnd commits many events at once, of which one notification tells: more than one look finds, and just as many.
func TestABurstIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, hardlyPolls)
	want := 0
	for _, events := range []int{1023, 1024, 1025, 1024 + 4096, 10_000} {
		requireAsleep(t, db)
		_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (subject, key, payload)
			select 'game.burst', 'k' || i % 7, 'x' from generate_series(1, $1::int) as i`, events)
		require.NoError(t, err)
		want += events
		broker.soon(t, want)
	}
	requireSettled(t, db.Pool)
}

// TestARelayThatFallsAsleepMissesNobody keeps the relay awake by a broker that is busy, and lets transactions end at random moments while it
// falls asleep. One that was missed would wait until the relay looks by itself.
func TestARelayThatFallsAsleepMissesNobody(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	gate := make(chan struct{})
	broker := &memory{fault: func(events []relay.Event) ([]relay.Outcome, error) {
		if events[0].Subject == "game.gate" {
			pass(t, gate)
		}
		return nil, nil
	}}
	startRelay(t, db.URL, broker, hardlyPolls)
	want := 0
	for range 300 {
		publishOne(t, db, "game.gate")
		require.Eventually(t, func() bool {
			publishOne(t, db, "game.more")
			want++
			return sleeper(t, db) == 0
		}, 20*time.Second, 5*time.Millisecond, "the relay is not kept awake")
		want++
		const writers = 3
		ended := make(chan bool)
		for range writers {
			go func() { ended <- commitAtRandom(t, db) }()
		}
		gate <- struct{}{}
		for range writers {
			want += count(<-ended)
		}
		broker.soon(t, want)
		requireAsleep(t, db)
	}
	require.Equal(t, want, broker.count())
	requireSettled(t, db.Pool)
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// commitAtRandom writes an event and ends the transaction, after pauses of some milliseconds; it reports whether it committed.
func commitAtRandom(t *testing.T, db *harness.Database) (committed bool) {
	linger := func() { <-time.After(time.Duration(rand.IntN(4000)) * time.Microsecond) } // at random moments is the point
	linger()
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		if err := outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "game.random", Payload: []byte("x")}); err != nil {
			return err
		}
		linger()
		if rand.IntN(5) == 0 {
			return errRollback
		}
		return nil
	})
	if err != nil && err != errRollback { //nolint:errorlint // it is returned as it is
		t.Errorf("a transaction failed: %v", err)
	}
	return err == nil
}

// TestTheGameWithTheDoorbell plays the game for a relay that falls asleep in between.
func TestTheGameWithTheDoorbell(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	playInTurns(t, db, hardlyPolls, func() { requireAsleep(t, db) })
}

// TestTheGameWithPreparedTransactions plays it on a server that takes them, where the relay polls.
func TestTheGameWithPreparedTransactions(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"max_prepared_transactions": "20"}
	db := harness.StartPostgres(t, harness.PostgresOptions{Settings: settings}).Database(t)
	playInTurns(t, db, nil, func() { require.Zero(t, sleeper(t, db)) })
}

func playInTurns(t *testing.T, db *harness.Database, change func(*relay.Config), between func()) {
	t.Helper()
	broker := &memory{}
	r := startRelay(t, db.URL, broker, change)
	g := newGame(t, db, 30, "game")
	for _, writers := range []int{1, 8, 2} {
		g.run(t, writers, 2*time.Second)
		requireSettled(t, db.Pool)
		between()
	}
	g.requireWhole(t, broker.moves(t))
	require.Zero(t, r.Status().Duplicates)
}

// pass waits at a gate, but not for longer than the test runs.
func pass(t testing.TB, gate <-chan struct{}) {
	select {
	case <-gate:
	case <-t.Context().Done():
	}
}

// listener is a session that hears what writers notify.
func listener(t testing.TB, db *harness.Database) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "listen outbox_events")
	require.NoError(t, err)
	return conn
}

// notifications returns how many transactions that have ended have notified since the last call.
func notifications(t testing.TB, conn *pgx.Conn) (n int) {
	t.Helper()
	_, err := conn.Exec(t.Context(), "notify outbox_events, 'end'")
	require.NoError(t, err)
	for {
		heard, err := conn.WaitForNotification(t.Context())
		require.NoError(t, err)
		if heard.Payload == "end" {
			return n
		}
		n++
	}
}

// TestNobodyNotifiesUnderLoad neither while a backlog is published nor while the broker is busy with what woke the relay.
func TestNobodyNotifiesUnderLoad(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	const backlog = 200_000
	_, err := db.Pool.Exec(t.Context(), insertMany, backlog)
	require.NoError(t, err)
	conn := listener(t, db)
	gate := make(chan struct{})
	broker := &memory{fault: func([]relay.Event) ([]relay.Outcome, error) { pass(t, gate); return nil, nil }}
	startRelay(t, db.URL, broker, nil)
	commit := func(n int) {
		t.Helper()
		for range n {
			publishOne(t, db, "game.busy")
		}
	}
	next := func() { gate <- struct{}{} } // lets the broker take one batch, once it was asked to

	for range 5 { // in the midst of the backlog
		next()
		commit(50)
		require.Zero(t, notifications(t, conn))
	}
	done := make(chan struct{})
	go func() { // the rest of it
		defer close(done)
		for {
			select {
			case gate <- struct{}{}:
			case <-t.Context().Done():
				return
			case done <- struct{}{}:
				return
			}
		}
	}()
	require.Eventually(t, func() bool { return broker.count() == backlog+250 }, time.Minute, 10*time.Millisecond)
	requireAsleep(t, db)
	<-done
	require.Zero(t, notifications(t, conn))

	commit(1) // wakes it, and keeps the broker busy
	require.Equal(t, 1, notifications(t, conn))
	require.Eventually(t, func() bool { commit(1); return sleeper(t, db) == 0 }, 20*time.Second, 10*time.Millisecond,
		"the reader, which can hand nothing on, still wants to be woken")
	notifications(t, conn)
	commit(300)
	require.Zero(t, notifications(t, conn))
	close(gate)
	requireSettled(t, db.Pool)
	requireAsleep(t, db)
}

// TestAFormerLeaderThatHangsIsForgotten where its process is still the one that wants to be woken.
func TestAFormerLeaderThatHangsIsForgotten(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	former := listener(t, db)
	pid := int(former.PgConn().PID())
	_, err := former.Exec(t.Context(), "select setval('outbox.waker', $1)", pid)
	require.NoError(t, err)
	publishOne(t, db, "game.one")
	require.Equal(t, 1, notifications(t, former), "it may be alive")

	broker := &memory{}
	startRelay(t, db.URL, broker, hardlyPolls)
	require.Eventually(t, func() bool { now := sleeper(t, db); return now != 0 && now != pid }, 20*time.Second, time.Millisecond)
	publishOne(t, db, "game.two")
	broker.soon(t, 2)
}

// TestNobodyNotifiesARelayThatHasEnded without setting the waker back: the first commit does that.
func TestNobodyNotifiesARelayThatHasEnded(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	writer := newRole(t, db)
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", writer.quoted())
	conn, ended := listener(t, db), listener(t, db)
	services := connect(t, writer.url)
	err := pgx.BeginFunc(t.Context(), services, func(tx pgx.Tx) error { // it has seen the processes of before
		if _, err := tx.Exec(t.Context(), "select count(*) from pg_stat_activity"); err != nil {
			return err
		}
		late := listener(t, db)
		run(t, db.Pool, "select setval('outbox.waker', $1)", late.PgConn().PID())
		return outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "game.one"})
	})
	require.NoError(t, err)
	require.Equal(t, 1, notifications(t, conn))

	run(t, db.Pool, "select setval('outbox.waker', $1)", ended.PgConn().PID())
	require.NoError(t, ended.Close(t.Context()))
	require.Eventually(t, func() bool {
		return rowCount(t, db.Pool, "pg_stat_activity where pid = "+strconv.Itoa(int(ended.PgConn().PID()))) == 0
	}, 10*time.Second, time.Millisecond)
	for range 3 {
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), services, outbox.Raw{Subject: "game.two"}))
	}
	require.Zero(t, notifications(t, conn))
	require.Zero(t, sleeper(t, db))
}

// TestNoValueOfTheWakerFailsAWriter although the roles of the relay and of an operator may set any: the
// next commit sets it back.
func TestNoValueOfTheWakerFailsAWriter(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	writer := newRole(t, db)
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", writer.quoted())
	services := connect(t, writer.url)
	for _, grant := range []string{"grant_relay", "grant_operator"} {
		role := newRole(t, db)
		run(t, db.Pool, "select outbox."+grant+"($1::text::regrole)", role.quoted())
		setter := connect(t, role.url)
		for _, value := range []int64{2, math.MaxInt32, math.MaxInt32 + 1, 99999999999, math.MaxInt64} {
			run(t, setter, "select setval('outbox.waker', $1)", value)
			require.NoError(t, outbox.PublishOutsideTx(t.Context(), services, outbox.Raw{Subject: "game.one"}), value)
			require.Zero(t, sleeper(t, db), value)
		}
	}
}

// TestNobodyWithoutARightKeepsTheRelayAwake nor lets writers notify: what such a role can hold
// costs neither, and is named.
func TestNobodyWithoutARightKeepsTheRelayAwake(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	broker := &memory{}
	anybody := newRole(t, db)
	holder, err := pgx.Connect(t.Context(), anybody.url+"&application_name=holder")
	require.NoError(t, err)
	defer func() { _ = holder.Close(context.WithoutCancel(t.Context())) }()
	for _, name := range []string{"outbox.waker", "outbox.events_id_seq"} {
		var id uint32
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select $1::text::regclass::oid", name).Scan(&id))
		for _, call := range []string{"setval(%d::oid::regclass, 99)", "nextval(%d::oid::regclass)"} {
			_, err := holder.Exec(t.Context(), "select "+fmt.Sprintf(call, id))
			require.ErrorContains(t, err, "permission denied", call)
		}
	}
	// The lock that was the doorbell once, and the lock on the sequence of ids, which the server
	// takes before it looks at the right.
	_, err = holder.Exec(t.Context(), "select pg_advisory_lock(31372865142353004)")
	require.NoError(t, err)
	var id uint32
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select 'outbox.events_id_seq'::regclass::oid").Scan(&id))
	_, err = holder.Exec(t.Context(), fmt.Sprintf("begin; do 'begin perform nextval(%d::oid::regclass); exception when others then null; end'", id))
	require.NoError(t, err)
	require.Equal(t, 1, rowCount(t, db.Pool, fmt.Sprintf("pg_locks where relation = %d and mode = 'RowExclusiveLock'", id)))

	conn := listener(t, db)
	r := startRelay(t, db.URL, broker, hardlyPolls)
	for i := range 30 {
		requireAsleep(t, db)
		publishOne(t, db, "game.waking")
		broker.soon(t, i+1)
	}
	require.Positive(t, notifications(t, conn))
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(r.Status().Warnings, func(w string) bool {
			return strings.Contains(w, strconv.Itoa(int(holder.PgConn().PID()))) && strings.Contains(w, anybody.name) && strings.Contains(w, "holder")
		})
	}, 30*time.Second, 10*time.Millisecond, "status does not name it")
	require.True(t, r.Status().Ready)
	_, err = holder.Exec(t.Context(), "rollback")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(r.Status().Warnings) == 0 }, 90*time.Second, 10*time.Millisecond)
}

// TestADoorbellThatDoesNotRing costs one event its time, and then the relay polls.
func TestADoorbellThatDoesNotRing(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, nil)
	requireAsleep(t, db)
	_, err := db.Pool.Exec(t.Context(), "alter table outbox.events disable trigger ring")
	require.NoError(t, err)
	// An event that comes just before the relay sleeps is found by the last look before it, and shows nothing.
	for sleeper(t, db) != 0 {
		require.Less(t, broker.count(), 10, "the relay goes on relying on the doorbell")
		requireFlow(t, db, broker)
		for until := time.Now().Add(time.Second); sleeper(t, db) != 0 && time.Now().Before(until); {
			<-time.After(time.Millisecond)
		}
	}
	found := broker.count()
	for i := range 3 {
		publishOne(t, db, "game.polled")
		broker.soon(t, found+i+1)
	}
	require.Zero(t, sleeper(t, db))
}

// TestTheDoorbellAsksNothingOfWriters but what they may do anyway, and PREPARE TRANSACTION works where the server allows it.
func TestTheDoorbellAsksNothingOfWriters(t *testing.T) {
	t.Parallel()
	for _, prepared := range []string{"0", "20"} {
		t.Run("max_prepared_transactions "+prepared, func(t *testing.T) {
			t.Parallel()
			db := harness.StartPostgres(t, harness.PostgresOptions{
				Settings: map[string]string{"max_prepared_transactions": prepared},
			}).Database(t)
			writer := newRole(t, db)
			_, err := db.Pool.Exec(t.Context(), "select outbox.grant_writer($1::text::regrole)", writer.quoted())
			require.NoError(t, err)
			conn := listener(t, db)
			_, err = conn.Exec(t.Context(), "select setval('outbox.waker', $1)", conn.PgConn().PID()) // as a relay that sleeps
			require.NoError(t, err)

			pool := connect(t, writer.url)
			require.NoError(t, outbox.PublishOutsideTx(t.Context(), pool, outbox.Raw{Subject: "game.one"}))
			if prepared == "0" {
				require.Equal(t, 1, notifications(t, conn))
				return
			}
			own, err := pgx.Connect(t.Context(), writer.url)
			require.NoError(t, err)
			defer func() { require.NoError(t, own.Close(context.WithoutCancel(t.Context()))) }()
			for _, statement := range []string{
				"begin", "insert into outbox.events (subject, payload) values ('game.two', '')", "prepare transaction 'two'", "commit prepared 'two'",
			} {
				_, err := own.Exec(t.Context(), statement)
				require.NoError(t, err, statement)
			}
			require.Zero(t, notifications(t, conn), "and the relay polls")
			broker := &memory{}
			startRelay(t, db.URL, broker, nil)
			require.Eventually(t, func() bool { return broker.count() == 2 }, 10*time.Second, time.Millisecond)
		})
	}
}

// TestTheDoorbellIsFittedBesideAnOpenWriter who keeps the table for long: the others wait for a moment at most.
func TestTheDoorbellIsFittedBesideAnOpenWriter(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t)
	db := openSQL(t, server.URL)
	downTo(t, db, 9)
	open, err := server.Pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, outbox.Publish(t.Context(), open, outbox.Raw{Subject: "game.open"}))

	migrated := make(chan error, 1)
	go func() { migrated <- up(t.Context(), db) }()
	require.Eventually(t, func() bool {
		return query[bool](t, db, "select exists (select from pg_locks where mode = 'ShareRowExclusiveLock' and not granted)")
	}, 20*time.Second, time.Millisecond, "the migration does not ask for its lock")
	for range 20 {
		began := time.Now()
		publishOne(t, server, "game.other")
		require.Less(t, time.Since(began), time.Second)
	}
	require.Empty(t, migrated, "it waits for the open writer")
	require.NoError(t, open.Commit(t.Context()))
	require.NoError(t, <-migrated)
	require.True(t, query[bool](t, db, "select exists (select from pg_trigger where tgrelid = 'outbox.events'::regclass and tgname = 'ring')"))
}

func up(ctx context.Context, db *sql.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

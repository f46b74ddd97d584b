package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// TestRelaysComeAndGoBehindAPooler is [TestRelaysComeAndGo] through PgBouncer in transaction mode.
func TestRelaysComeAndGoBehindAPooler(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	db := server.Database(t)
	comeAndGo(t, db, harness.StartPgBouncer(t, server, db).URL, newStream(t, harness.NATS(t), "pooled-chaos"))
}

// TestAPoolerIsLeftAsItWas looks at what the relays left behind on the connections that others get too.
func TestAPoolerIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	db := server.Database(t)
	url := harness.StartPgBouncer(t, server, db).URL
	c := newCrew(t, db, url, newStream(t, harness.NATS(t), "pooled"), 3)
	c.start()
	c.g.run(t, 4, 3*time.Second)
	c.requireWhole()
	pool := connect(t, url)
	for range 20 {
		var seqscan, jit string
		var prepared, channels, locks int
		require.NoError(t, pool.QueryRow(t.Context(), `select current_setting('enable_seqscan'), current_setting('jit'),
			(select count(*) from pg_prepared_statements), (select count(*) from pg_listening_channels()),
			(select count(*) from pg_locks where locktype = 'advisory')`).Scan(&seqscan, &jit, &prepared, &channels, &locks))
		require.Equal(t, "on", seqscan)
		require.Equal(t, "on", jit)
		require.Zero(t, channels)
		require.Zero(t, locks)
	}
	for _, command := range [][]string{{"status"}, {"dead", "list"}, {"verify"}} {
		cli{program: c.relays[0].path, env: c.relays[0].env}.mustRun(t, command...)
	}
	c.stop()
}

// TestPostgresFailsOverBehindAPooler leads the pooler to a standby of Postgres that has lost its tail and was promoted. No connection
// of the relays breaks, and the new server hands out again the ids of events that were published.
func TestPostgresFailsOverBehindAPooler(t *testing.T) {
	t.Parallel()
	pair := harness.StartPostgresPair(t)
	db := pair.Primary.Database(t)
	pooler := harness.StartPgBouncer(t, pair.Primary, db)
	s := newStream(t, harness.NATS(t), "pooled-failover")
	c := newCrew(t, db, pooler.URL, s, 2)
	c.start()
	insert := func(what string, n int) {
		t.Helper()
		_, err := connect(t, pooler.URL).Exec(t.Context(), `insert into outbox.events (subject, key, payload)
			select $1 || '.' || $2, 'k' || i % 7, convert_to($2 || i, 'UTF8') from generate_series(1, $3::int) as i`, s.subject, what, n)
		require.NoError(t, err)
	}
	insert("before", 300)
	requireSettled(t, db.Pool)
	awaitReplay(t, pair)
	pair.CutOff()
	insert("lost", 300)
	require.Eventually(t, func() bool { return s.count() == 600 }, 30*time.Second, 20*time.Millisecond)
	requireSettled(t, db.Pool)

	pair.Promote()
	pooler.Lead(pair.Standby)
	survivor := connect(t, pair.OnStandby(db))
	require.EventuallyWithT(t, func(c *assert.CollectT) { // a new connection comes to the new server
		var events int
		assert.NoError(c, connect(t, pooler.URL).QueryRow(t.Context(), "select count(*) from outbox.events").Scan(&events))
		assert.Equal(c, 300, events)
	}, 30*time.Second, 50*time.Millisecond)
	insert("after", 500)
	requireSettled(t, survivor)
	counts := map[string]int{}
	for _, msg := range s.read(t) {
		counts[msg.Subject()]++
	}
	require.Equal(t, map[string]int{s.subject + ".before": 300, s.subject + ".lost": 300, s.subject + ".after": 500}, counts)
	c.stop()
}

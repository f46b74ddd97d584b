package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// requireStatus waits until status of a running relay shows each of some texts.
func requireStatus(t testing.TB, c cli, p *relayProcess, texts ...string) {
	t.Helper()
	c.env = slices.Concat(c.env, []string{"OUTBOX_ADMIN_LISTEN=" + strings.TrimPrefix(p.admin, "http://")})
	var table string
	for began := time.Now(); time.Since(began) < busyTimeout; {
		table = c.run(t, "status").out // a busy server may not let it in at once
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(table, text) }) {
			return
		}
	}
	require.Fail(t, "status does not say it", "%q: %s", texts, table)
}

// requireRows waits until the table holds so many events.
func requireRows(t testing.TB, db *harness.Database, rows int) {
	t.Helper()
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.events") == rows }, busyTimeout, 20*time.Millisecond,
		"%d rows are wanted", rows)
}

// TestTheFallbackLeavesTheConfiguration removes the section redis while only Redis has some events.
// They are kept until JetStream has them too, far beyond the retention.
func TestTheFallbackLeavesTheConfiguration(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	r := newStandby(t, harness.Redis(t), fmt.Sprintf("removed:%d", time.Now().UnixNano()))
	c := newCLI(t, db.URL, append(env, "OUTBOX_RELAY_RETENTION=1s", "OUTBOX_MQ_CONNECT_TIMEOUT=500ms", "OUTBOX_RELAY_SHUTDOWN_TIMEOUT=1s")...)
	with := func(more ...string) cli { return cli{program: c.program, env: slices.Concat(c.env, more)} }
	away := "OUTBOX_MQ_NATS_URL=nats://" + harness.FreeAddress(t)

	p := with(append(r.env(), away)...).start(t)
	ids := publishKeyed(t, c, subject, 3)
	require.Eventually(t, func() bool { return r.count(t) == 3 }, busyTimeout, 20*time.Millisecond)
	requireSettled(t, db.Pool)
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())

	// The event of a stream that had another name was stored there. Its row goes as ever.
	_, err := db.Pool.Exec(t.Context(), `
		with event as (insert into outbox.events (subject, payload) values ('game.old', '') returning id)
		insert into outbox.receipts (broker, stream, incarnation, ids, events, first_sequence, last_sequence, settled_at)
		select 'jetstream', 'old', 'x', int8multirange(int8range(id, id, '[]')), 1, 1, 1, now() - interval '1 day' from event`)
	require.NoError(t, err)
	p = with(away).start(t)
	requireStatus(t, c, p, "3 events were acknowledged by redis alone, which is not configured: they are kept, and published to jetstream when that answers")
	p.await(t, "events of another broker are kept")
	requireRows(t, db, 3)
	code, _ = p.stop(t)
	require.Zero(t, code, p.logged())

	createStream(t, server, subject, subject+".>")
	requireStartFails(t, c.run(t, "verify"), 1, "3 acknowledged by redis alone, which is not configured", "start a relay",
		"it publishes to jetstream what only redis has")
	p = c.start(t)
	ids = append(ids, publishKeyed(t, c, subject, 1)...)
	s := stream{url: server, name: subject}
	requireStoredIDs(t, s, ids)
	require.Equal(t, "true", s.read(t)[0].Headers().Get("Outbox-Rehomed"))
	requireStatus(t, c, p, "published")
	require.NotContains(t, c.mustRun(t, "verify"), "redis")
	requireRows(t, db, 0)
}

// TestThePrimaryLeavesTheConfiguration removes NATS and leaves Redis.
func TestThePrimaryLeavesTheConfiguration(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	primary := newCLI(t, db.URL, env...)
	p := primary.start(t)
	publishKeyed(t, primary, subject, 2)
	s := stream{url: server, name: subject}
	require.Eventually(t, func() bool { return s.count() == 2 }, busyTimeout, 20*time.Millisecond)
	requireSettled(t, db.Pool)
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())

	r := newStandby(t, harness.Redis(t), fmt.Sprintf("left:%d", time.Now().UnixNano()))
	c := newCLI(t, db.URL, append(r.env(), "OUTBOX_RELAY_RETENTION=1s")...)
	p = c.start(t)
	publishKeyed(t, c, subject, 1)
	require.Eventually(t, func() bool { return r.count(t) == 1 }, busyTimeout, 20*time.Millisecond)
	requireRows(t, db, 2)
	requireStatus(t, c, p, "2 events were acknowledged by jetstream alone, which is not configured: they are kept whatever relay.retention says; "+
		"configure jetstream again, or set failover.rehome to false to let them go")
	requireStartFails(t, c.run(t, "verify"), 1, "2 acknowledged by jetstream alone", "configure jetstream again, or set failover.rehome to false")
	code, _ = p.stop(t)
	require.Zero(t, code, p.logged())
	require.Equal(t, 2, rowCount(t, db.Pool, "outbox.events"))

	c.env = append(c.env, "OUTBOX_FAILOVER_REHOME=false")
	c.start(t)
	requireRows(t, db, 0)
	c.mustRun(t, "verify")
	require.Equal(t, 1, r.count(t), "what JetStream has is not published to Redis")
}

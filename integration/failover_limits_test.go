package integration_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// TestASecondOutageWhileRehoming kills JetStream again when it has got a part of what Redis has. The rest goes to Redis once more, which
// recognises it within its window; later it has the events twice, with the same ids. JetStream has each once in any case.
func TestASecondOutageWhileRehoming(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window time.Duration
		twice  bool
	}{
		"within the window of Redis": {2 * time.Minute, false},
		"later":                      {time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, harness.Redis(t), "second-outage-"+c.window.String(),
				"OUTBOX_REDIS_DEDUP_WINDOW="+c.window.String(), "OUTBOX_RELAY_BATCH_EVENTS=20")
			route := harness.StartProxy(t, p.nats.URL)
			p.env = append(p.env, "OUTBOX_MQ_NATS_URL="+route.URL)
			p.start()
			p.await(false)
			p.nats.Kill()
			p.await(true)
			p.g.run(t, 3, 3*time.Second)
			p.requireFallbackHas()
			if c.twice {
				<-time.After(3 * c.window) // for so long Redis knows an id at most
			}
			once := p.redis.count(t)

			route.Delay(50 * time.Millisecond) // of each of the small batches, so that there is a middle
			p.nats.Start()
			require.Eventually(t, func() bool { return p.s.count() > 40 }, time.Minute, 5*time.Millisecond, "nothing is rehomed")
			p.nats.Kill()
			route.Restore()
			p.await(true)
			p.g.run(t, 3, 300*time.Millisecond)
			p.requireFallbackHas()
			requireSettled(t, p.db.Pool)
			_, ids := p.redis.read(t)
			again := len(ids) - len(unique(ids))
			require.Equal(t, c.twice, again > 0, "%d of %d events are twice in Redis", again, once)
			require.Equal(t, !c.twice, p.status().Duplicates > 0, "Redis recognised %d events", p.status().Duplicates)
			t.Logf("%d events in Redis; at the second outage %d were recognised, %d are there twice", once, p.status().Duplicates, again)

			p.nats.Start()
			p.await(false)
			p.requireRehomed()
			p.g.requireWhole(t, p.s.moves(t))
			p.stop()
		})
	}
}

func unique(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestTheMarkIsMissingAfterACrash kills the relay between Redis and its receipts, and starts it when JetStream is back: it cannot know
// what Redis has. JetStream gets the events once, and without the mark.
func TestTheMarkIsMissingAfterACrash(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "unmarked")
	p.start()
	p.await(false)
	p.nats.Kill()
	p.await(true)
	p.g.run(t, 3, time.Second)
	p.requireFallbackHas()
	requireSettled(t, p.db.Pool)
	receipted := p.redis.count(t)

	lock, err := p.db.Pool.Begin(t.Context()) // from now on nothing can be settled
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "lock table outbox.positions in exclusive mode")
	require.NoError(t, err)
	p.g.run(t, 3, time.Second)
	require.Eventually(t, func() bool { return p.redis.count(t) > receipted }, 20*time.Second, 20*time.Millisecond)
	p.kill()
	_, err = p.db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid, 10000) from pg_stat_activity
		where application_name = 'outbox-relay' and datname = current_database()`)
	require.NoError(t, err)
	require.NoError(t, lock.Rollback(t.Context()))
	p.nats.Start()

	p.start()
	p.await(false)
	p.requireRehomed()
	p.g.requireWhole(t, p.s.moves(t))
	marked := p.rehomed()
	_, inRedis := p.redis.read(t)
	require.Len(t, marked, receipted)
	for _, id := range inRedis[:receipted] {
		require.True(t, marked[id])
	}
	require.Greater(t, len(inRedis), receipted)
	t.Logf("%d events in Redis, %d of them without the mark in JetStream", len(inRedis), len(inRedis)-receipted)
	p.stop()
}

// TestOperatorsWhileTheFallbackIsUsed has JetStream back and not yet in use: what the fallback took is neither missing nor dropped.
func TestOperatorsWhileTheFallbackIsUsed(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "operators", "OUTBOX_FAILOVER_FAILBACK_AFTER=10m")
	p.start()
	p.await(false)
	publishOne(t, p.db, p.s.subject+".first")
	requireSettled(t, p.db.Pool)
	p.nats.Kill()
	p.await(true)
	publishOne(t, p.db, p.s.subject+".second")
	requireSettled(t, p.db.Pool)
	p.nats.Start()
	program := newCLI(t, p.db.URL, p.env...)

	require.Regexp(t, `not compared +1 event that other streams acknowledged`, program.mustRun(t, "verify"))

	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox.dead_letters
		(id, event_id, subject, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
		values (nextval(pg_get_serial_sequence('outbox.events', 'id')), gen_random_uuid(), $1, '', now(), 'refused', 'too large', 1, now(), now())`,
		p.s.subject+".dead")
	require.NoError(t, err)
	got := program.run(t, "dead", "retry", "--reason=refused", "--wait=20s")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "1 taken by another broker: the stream gets them when the relay uses the primary again")
	require.Contains(t, got.err, "see outbox-relay status when the relay uses the primary again")
	require.Zero(t, rowCount(t, p.db.Pool, "outbox.dead_letters"), "what Redis has is not dead")
	require.Equal(t, 2, p.redis.count(t))
	p.stop()
}

// TestOperatorsOfRedisAlone compares what Redis has.
func TestOperatorsOfRedisAlone(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newRedisStream(harness.Redis(t), t.Name())
	p := s.process(t, db.URL)
	p.start()
	publishOne(t, db, "game.x")
	requireSettled(t, db.Pool)
	program := newCLI(t, db.URL, p.env...)
	require.Regexp(t, `redis`, program.mustRun(t, "verify"))
	p.stop()

	client := s.client(t)
	id := client.XRange(t.Context(), s.key, "-", "+").Val()[0].ID
	require.NoError(t, client.XDel(t.Context(), s.key, id).Err())
	publishOne(t, db, "game.y") // waits: no relay runs
	got := program.run(t, "verify")
	require.Contains(t, got.out, "XDEL or XTRIM", "Redis does not tell who removed it, so it counts as expired: %s%s", got.out, got.err)

	program.env = append(program.env, "OUTBOX_REDIS_PORT=1")
	got = program.run(t, "verify")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "redis.host")
}

// TestTheFallbackIsActiveWhileItLeads looks at the gauge of a relay that loses its lead on the fallback, and gets it again.
func TestTheFallbackIsActiveWhileItLeads(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &switched{memory: &memory{}, active: &named{memory: &memory{}, name: "redis"}}
	registry := prometheus.NewRegistry()
	pool, err := relay.NewPool(t.Context(), db.URL, relay.MinConns)
	require.NoError(t, err)
	defer pool.Close()
	r, err := relay.New(relay.DefaultConfig(), relay.Options{
		Pool: pool, Publisher: broker, Logger: testLog(t), SchemaVersion: migrations.Latest(), Registerer: registry,
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	requireMetric := func(line string) {
		t.Helper()
		require.Eventually(t, func() bool { return metric(registry, line) }, 30*time.Second, 10*time.Millisecond, line)
	}
	requireMetric(`outbox_relay_failover_active{broker="memory"} 1`)

	_, err = db.Pool.Exec(t.Context(), "update outbox.lease set owner = 'rival', term = term + 1, expires_at = clock_timestamp() + interval '1 hour'")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.Status().State == relay.StateStandby }, 30*time.Second, 10*time.Millisecond)
	requireMetric(`outbox_relay_failover_active{broker="memory"} 0`)

	_, err = db.Pool.Exec(t.Context(), "update outbox.lease set owner = '', expires_at = clock_timestamp()")
	require.NoError(t, err)
	requireMetric(`outbox_relay_failover_active{broker="memory"} 1`)
	requireMetric(`outbox_relay_failovers_total{broker="memory"} 1`)
	stop()
	require.NoError(t, <-done)
	requireMetric(`outbox_relay_failover_active{broker="memory"} 0`)
}

// metric reports whether a registry shows a line.
func metric(registry *prometheus.Registry, line string) bool {
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return slices.Contains(strings.Split(page.Body.String(), "\n"), line)
}

package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// standby is a Redis Stream of a test's own, as a client sees it that the project has not written.
type standby struct {
	client *redis.Client
	key    string
}

// pair is a relay process with JetStream as its primary and Redis as its fallback, and the game that feeds it.
type pair struct {
	*process
	db    *harness.Database
	nats  *harness.Server
	s     stream
	redis standby
	g     *game
}

func newStandby(t testing.TB, serverURL, key string) standby {
	t.Helper()
	u, err := url.Parse(serverURL)
	require.NoError(t, err)
	client := redis.NewClient(&redis.Options{Addr: u.Host, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return standby{client: client, key: key}
}

// env returns the settings of a relay that uses it.
func (r standby) env() []string {
	host, port, _ := strings.Cut(r.client.Options().Addr, ":")
	return []string{"OUTBOX_REDIS_HOST=" + host, "OUTBOX_REDIS_PORT=" + port, "OUTBOX_REDIS_STREAM=" + r.key, "OUTBOX_REDIS_CONNECT_TIMEOUT=1s"}
}

// count returns how many events it holds; 0 while the server is away.
func (r standby) count(t testing.TB) int { return int(r.client.XLen(t.Context(), r.key).Val()) }

// read returns the moves that it holds and their event ids, in order.
func (r standby) read(t testing.TB) (moves []move, ids []string) {
	t.Helper()
	moves, ids, _ = r.readAfter(t, "-")
	return moves, ids
}

// readAfter returns the moves and the event ids from the entry on that XRANGE is to begin with, and where to go on.
func (r standby) readAfter(t testing.TB, from string) (moves []move, ids []string, next string) {
	t.Helper()
	const page = 5000
	for {
		entries, err := r.client.XRangeN(t.Context(), r.key, from, "+", page).Result()
		require.NoError(t, err)
		for _, entry := range entries {
			var m move
			require.NoError(t, json.Unmarshal([]byte(entry.Values["payload"].(string)), &m))
			moves, ids = append(moves, m), append(ids, entry.Values["event_id"].(string))
			from = "(" + entry.ID
		}
		if len(entries) < page {
			return moves, ids, from
		}
	}
}

// newPair makes a pair with servers of the test's own for JetStream, and the Redis server at redisURL. It switches fast.
func newPair(t testing.TB, redisURL, name string, settings ...string) *pair {
	t.Helper()
	return newPairOn(t, harness.StartNATS(t, harness.NATSOptions{}), redisURL, name, settings...)
}

// newPairOn makes a pair with this server for JetStream.
func newPairOn(t testing.TB, server *harness.Server, redisURL, name string, settings ...string) *pair {
	t.Helper()
	db := harness.Postgres(t)
	s, r := newStream(t, server.URL, name), newStandby(t, redisURL, fmt.Sprintf("fallback:%s:%d", name, time.Now().UnixNano()))
	env := append(r.env(), "OUTBOX_FAILOVER_AFTER=1s", "OUTBOX_FAILOVER_FAILBACK_AFTER=2s", "OUTBOX_MQ_CONNECT_TIMEOUT=1s",
		"OUTBOX_MQ_PUBLISH_TIMEOUT=1s", "OUTBOX_RELAY_BACKOFF_MAX=1s")
	return &pair{
		process: newProcess(t, db.URL, s, append(env, settings...)...), db: db, nats: server, s: s, redis: r,
		g: newGame(t, db, 20, s.subject),
	}
}

// await waits until the relay says that it uses the fallback, or the primary.
func (p *pair) await(fallback bool) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		if code, _ := p.get("/readyz"); code != http.StatusOK {
			return false
		}
		f := p.status().Failover
		return f != nil && f.OnFallback == fallback && p.status().Broker.Name == map[bool]string{true: f.Fallback, false: f.Primary}[fallback]
	}, 60*time.Second, 50*time.Millisecond, "on_fallback does not become %v: %+v", fallback, p.status())
}

// requireRehomed waits until the primary has everything.
func (p *pair) requireRehomed() {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		var left int
		require.NoError(p.t, p.db.Pool.QueryRow(p.t.Context(), "select count(*) from outbox.receipts where broker = 'redis'").Scan(&left))
		return left == 0 && waiting(p.t, p.db.Pool) == 0
	}, 90*time.Second, 50*time.Millisecond, "not everything was rehomed: %+v", p.status())
}

// requireFallbackHas waits until Redis holds what was committed up to now.
func (p *pair) requireFallbackHas() {
	p.t.Helper()
	want, last, from := p.g.committed(p.t), map[string]int{}, "-"
	require.Eventually(p.t, func() bool {
		var moves []move
		moves, _, from = p.redis.readAfter(p.t, from)
		for _, m := range moves {
			last[m.Key] = max(last[m.Key], m.N)
		}
		for key, n := range want {
			if last[key] < n {
				return false
			}
		}
		return true
	}, 60*time.Second, 100*time.Millisecond, "Redis has not got everything that was committed in the outage")
}

// requireRising fails unless the moves of each key follow each other without a gap.
func requireRising(t testing.TB, moves []move) {
	t.Helper()
	last := map[string]int{}
	for _, m := range moves {
		if before, seen := last[m.Key]; seen {
			require.Equal(t, before+1, m.N, "key %s in Redis", m.Key)
		}
		last[m.Key] = m.N
	}
}

// rehomed returns the event ids in JetStream that carry the mark.
func (p *pair) rehomed() map[string]bool {
	p.t.Helper()
	ids := map[string]bool{}
	for _, msg := range p.s.read(p.t) {
		if mark := msg.Headers().Get("Outbox-Rehomed"); mark != "" {
			require.Equal(p.t, "true", mark)
			ids[msg.Headers().Get("Nats-Msg-Id")] = true
		}
	}
	return ids
}

// outage kills JetStream, and starts it again when Redis has everything that was committed meanwhile.
func (p *pair) outage(lasting time.Duration) {
	p.t.Helper()
	before := p.redis.count(p.t)
	p.nats.Kill()
	p.await(true)
	<-time.After(lasting) // the outage's length is what the test is about
	p.requireFallbackHas()
	moves, _ := p.redis.read(p.t)
	requireRising(p.t, moves[before:])
	p.nats.Start()
}

// TestEventsWithoutAnAnswerAtTheSwitch cuts the relay off from a JetStream that has stored events and whose answers are on their way.
// They go to Redis, and JetStream must not get them again.
func TestEventsWithoutAnAnswerAtTheSwitch(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "in-doubt", "OUTBOX_MQ_DUPLICATE_WINDOW=1s")
	route := harness.StartProxy(t, p.nats.URL)
	p.env = append(p.env, "OUTBOX_MQ_NATS_URL="+route.URL)
	p.start()
	p.await(false)
	stopGame := p.g.start(t, 3)
	inDoubt := 0
	for round := 0; inDoubt == 0; round++ {
		require.Less(t, round, 15, "every event was answered")
		route.Delay(200 * time.Millisecond)
		before := p.s.count()
		require.Eventually(t, func() bool { return p.s.count() > before }, 30*time.Second, 10*time.Millisecond)
		pauseAtRandom(400 * time.Millisecond)
		route.Cut()
		p.await(true)
		var receipted int
		require.NoError(t, p.db.Pool.QueryRow(t.Context(),
			"select coalesce(sum(events), 0) from outbox.receipts where broker = 'jetstream'").Scan(&receipted))
		inDoubt = p.s.count() - receipted
		p.requireFallbackHas()
		route.Restore()
		p.await(false)
	}
	stopGame()
	p.requireRehomed()
	p.g.requireWhole(t, p.s.moves(t))
	p.stop()
	require.Contains(t, p.output.String(), fmt.Sprintf(`"found":%d,`, inDoubt), "they were found in JetStream")
	t.Logf("%d events without an answer", inDoubt)
}

// TestBothBrokersAreDown lets the events wait. A transaction of the game that failed would fail the test.
func TestBothBrokersAreDown(t *testing.T) {
	t.Parallel()
	server := harness.StartRedis(t, harness.RedisOptions{})
	p := newPair(t, server.URL, "both-down")
	p.start()
	p.await(false)
	stopGame := p.g.start(t, 3)
	p.outage(0)
	p.await(false)

	p.nats.Kill()
	server.Kill()
	before := waiting(t, p.db.Pool)
	require.Eventually(t, func() bool { return waiting(t, p.db.Pool) > before+100 }, 60*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { code, _ := p.get("/readyz"); return code == http.StatusServiceUnavailable },
		30*time.Second, 50*time.Millisecond)

	server.Start() // Redis is back first
	p.await(true)
	p.requireFallbackHas()
	server.Kill()
	p.nats.Start() // and JetStream when Redis is out again
	p.await(false)
	stopGame()
	p.requireRehomed()
	p.g.requireWhole(t, p.s.moves(t))
	p.stop()
}

// TestJetStreamIsMissingAtTheStart begins on the fallback at once.
func TestJetStreamIsMissingAtTheStart(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "missing", "OUTBOX_FAILOVER_AFTER=10m")
	p.nats.Stop()
	p.start()
	p.await(true)
	p.g.run(t, 3, time.Second)
	p.requireFallbackHas()
	moves, inRedis := p.redis.read(t)
	p.g.requireWhole(t, moves)

	p.nats.Start()
	p.await(false)
	p.requireRehomed()
	p.g.requireWhole(t, p.s.moves(t))
	require.Len(t, p.rehomed(), len(inRedis))
	p.stop()
	_, after, found := strings.Cut(p.output.String(), "failed to connect NATS, trying Redis Stream")
	require.True(t, found)
	require.Contains(t, after, "Redis Stream connected successfully")
}

// TestTheRelayIsKilledOnTheFallbackAndWhileRehoming kills it at random moments of both.
func TestTheRelayIsKilledOnTheFallbackAndWhileRehoming(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "killed-pair", "OUTBOX_RELAY_BATCH_EVENTS=20")
	p.start()
	p.await(false)
	stopGame := p.g.start(t, 3)
	p.nats.Kill()
	p.await(true)
	for range 4 {
		pauseAtRandom(time.Second)
		p.kill()
		p.start()
		p.await(true)
	}
	p.requireFallbackHas()
	p.nats.Start()
	for range 6 {
		before := p.s.count()
		require.Eventually(t, func() bool { return p.s.count() > before }, 30*time.Second, time.Millisecond)
		pauseAtRandom(50 * time.Millisecond)
		p.kill()
		p.start()
	}
	stopGame()
	p.await(false)
	p.requireRehomed()
	p.g.requireWhole(t, p.s.moves(t))
	require.NotEmpty(t, p.rehomed())
	p.stop()
}

// TestWithoutRehoming leaves in Redis what went there, and purges it like everything else.
func TestWithoutRehoming(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "left", "OUTBOX_FAILOVER_REHOME=false", "OUTBOX_RELAY_RETENTION=1s")
	p.start()
	p.await(false)
	p.g.run(t, 3, time.Second)
	requireSettled(t, p.db.Pool)
	before := p.s.moves(t)
	p.nats.Kill()
	p.await(true)
	p.g.run(t, 3, time.Second)
	requireSettled(t, p.db.Pool)
	p.nats.Start()
	p.await(false)
	p.g.run(t, 3, time.Second)
	requireSettled(t, p.db.Pool)

	inRedis, _ := p.redis.read(t)
	after := p.s.moves(t)
	require.Empty(t, p.rehomed())
	p.g.requireWhole(t, append(append(before, inRedis...), after[len(before):]...))
	require.Eventually(t, func() bool {
		return rowCount(t, p.db.Pool, "outbox.receipts")+rowCount(t, p.db.Pool, "outbox.events") == 0
	},
		30*time.Second, 50*time.Millisecond, "the receipts of the fallback are purged")
	p.stop()
}

// TestReceiptsOfTheFallbackOutliveTheRetention also checks what remembers them, which goes when the events have gone.
func TestReceiptsOfTheFallbackOutliveTheRetention(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), `
		insert into outbox.events (subject, payload) select 'game.x', '' from generate_series(1, 30);
		insert into outbox.receipts (broker, stream, incarnation, ids, events, first_sequence, last_sequence, first_settled_at, settled_at)
		select broker, '', '', int8multirange(int8range(min(id), max(id), '[]')), 10, 0, 0, now() - interval '1 day', now() - interval '1 day'
		from (select id, (array['redis', 'memory', 'redis'])[(id - 1) / 10 + 1] as broker, (id - 1) / 10 as part from outbox.events) as e
		group by part, broker`)
	require.NoError(t, err)
	broker := &switched{memory: &memory{}, active: &named{memory: &memory{}, name: "redis"}}
	r, stop := runRelay(t, db.URL, broker, func(c *relay.Config) { c.Retention = time.Second })
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.receipts") == 2 }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, 20, rowCount(t, db.Pool, "outbox.events"))
	require.Equal(t, "redis", r.Status().Broker.Name)
	stop()

	broker.active = broker.memory
	_, stop = runRelay(t, db.URL, broker, func(c *relay.Config) { c.Retention = time.Second })
	defer stop()
	require.Eventually(t, func() bool { return broker.count() == 20 }, 30*time.Second, 20*time.Millisecond)
	for _, event := range broker.stored {
		require.True(t, event.Rehomed)
	}
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.events") == 0 }, 30*time.Second, 20*time.Millisecond)
	stop()
	require.Equal(t, 2, rowCount(t, db.Pool, "outbox.rehomes"))
	_, stop = runRelay(t, db.URL, broker, nil)
	defer stop()
	require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.rehomes") == 0 }, 30*time.Second, 20*time.Millisecond)
}

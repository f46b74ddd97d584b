package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/publishers/redisstream"
	"github.com/gameoutbox/relay/relay"
)

// redisVersions runs a test on a server for which the script keeps the ids, and on one that knows them itself.
func redisVersions(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	t.Parallel()
	for _, version := range []string{"8.0", "8.6"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// redisStream is a Redis Stream of a test's own, as a client sees it that the project has not written.
type redisStream struct {
	url, key string
	window   time.Duration // dedup window; 0 for the default
}

func newRedisStream(url, name string) redisStream { return redisStream{url: url, key: "game:" + name} }

// hostPort returns where the server is.
func (s redisStream) hostPort(t testing.TB) (host string, port int) {
	t.Helper()
	u, err := url.Parse(s.url)
	require.NoError(t, err)
	port, err = strconv.Atoi(u.Port())
	require.NoError(t, err)
	return u.Hostname(), port
}

// publisher returns a publisher to the stream. It may not be connected yet, like a relay's that starts in an outage.
func (s redisStream) publisher(t testing.TB) *redisstream.Publisher {
	t.Helper()
	cfg := redisstream.DefaultConfig()
	cfg.Host, cfg.Port = s.hostPort(t)
	cfg.Stream = s.key
	cfg.ConnectTimeout, cfg.PublishTimeout = 2*time.Second, 2*time.Second
	if s.window > 0 {
		cfg.DedupWindow = s.window
	}
	p, err := redisstream.New(cfg, testLog(t))
	require.NoError(t, err)
	_ = p.Connect(t.Context()) // an outage at the start is part of some tests
	t.Cleanup(func() { require.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
	return p
}

// process returns a relay as operators run it.
func (s redisStream) process(t testing.TB, databaseURL string, settings ...string) *process {
	t.Helper()
	host, port := s.hostPort(t)
	settings = append([]string{"OUTBOX_REDIS_HOST=" + host, fmt.Sprintf("OUTBOX_REDIS_PORT=%d", port), "OUTBOX_REDIS_STREAM=" + s.key}, settings...)
	return newProcessWith(t, databaseURL, settings...)
}

func (s redisStream) client(t testing.TB) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(s.url)
	require.NoError(t, err)
	c := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// moves returns the moves that the stream holds, in order.
func (s redisStream) moves(t testing.TB) []move {
	t.Helper()
	c := s.client(t)
	var moves []move
	for from := "-"; ; {
		entries, err := c.XRangeN(t.Context(), s.key, from, "+", 1000).Result()
		require.NoError(t, err)
		if len(entries) == 0 {
			return moves
		}
		for _, entry := range entries {
			var m move
			require.NoError(t, json.Unmarshal([]byte(entry.Values["payload"].(string)), &m))
			require.Equal(t, m.Key, entry.Values["key"])
			moves = append(moves, m)
		}
		from = "(" + entries[len(entries)-1].ID
	}
}

// count returns how many events the stream holds; 0 while the server is away.
func (s redisStream) count(t testing.TB) int {
	t.Helper()
	n, err := s.client(t).XLen(context.Background(), s.key).Result()
	if err != nil {
		return 0
	}
	return int(n)
}

// requireAll waits until the stream holds everything that was committed, and checks it.
func (s redisStream) requireAll(t testing.TB, db *harness.Database, g *game) {
	t.Helper()
	require.Eventually(t, func() bool { return s.count(t) >= total(g.committed(t)) }, time.Minute, 50*time.Millisecond, "not everything is there")
	requireSettled(t, db.Pool)
	g.requireWhole(t, s.moves(t))
}

// TestTheGameOnRedis plays while a relay runs, is stopped, and is followed by another one: the next one sends nothing again.
func TestTheGameOnRedis(t *testing.T) {
	redisVersions(t, func(t *testing.T, version string) {
		db := harness.Postgres(t)
		s := newRedisStream(harness.StartRedis(t, harness.RedisOptions{Version: version}).URL, "whole")
		g := newGame(t, db, 30, "game")
		r, stop := runRelay(t, db.URL, s.publisher(t), nil)
		g.run(t, 8, 3*time.Second)
		requireSettled(t, db.Pool)
		stop()
		g.run(t, 4, time.Second)
		next := startRelay(t, db.URL, s.publisher(t), nil)
		g.run(t, 4, time.Second)
		s.requireAll(t, db, g)
		require.Zero(t, r.Status().Duplicates+next.Status().Duplicates)
		require.Nil(t, next.Status().Loss)
	})
}

// TestARedisCrashLongerThanTheDedupWindow kills the relay between publish and settle, and starts it again when Redis has forgotten
// the ids, which it keeps for up to three windows: what had been published is found in the stream.
func TestARedisCrashLongerThanTheDedupWindow(t *testing.T) {
	redisVersions(t, func(t *testing.T, version string) {
		db := harness.Postgres(t)
		s := newRedisStream(harness.StartRedis(t, harness.RedisOptions{Version: version}).URL, "forgotten")
		g := newGame(t, db, 30, "game")
		p := s.process(t, db.URL, "OUTBOX_REDIS_DEDUP_WINDOW="+shortWindow.String())
		p.start()
		p.requireReady()
		g.run(t, 4, time.Second)
		requireSettled(t, db.Pool)

		lock, err := db.Pool.Begin(t.Context()) // from now on nothing can be settled
		require.NoError(t, err)
		defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
		_, err = lock.Exec(t.Context(), "lock table outbox.positions in exclusive mode")
		require.NoError(t, err)
		settled := s.count(t)
		g.run(t, 4, time.Second)
		require.Eventually(t, func() bool { return s.count(t) > settled }, 20*time.Second, 20*time.Millisecond)
		p.kill()
		_, err = db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid, 10000) from pg_stat_activity
			where application_name = 'outbox-relay' and datname = current_database()`)
		require.NoError(t, err)
		require.NoError(t, lock.Rollback(t.Context()))
		<-time.After(4 * shortWindow) // the crash's length is what the test is about
		inFlight := s.count(t) - settled

		g.run(t, 4, time.Second) // events that were never published wait beside those that were
		p.start()
		requireSettled(t, db.Pool)
		g.requireWhole(t, s.moves(t))
		p.stop()
		require.Contains(t, p.output.String(), fmt.Sprintf(`"read":%d,"found":%d`, inFlight, inFlight))
	})
}

// TestKillNineOnRedisWithoutDedup kills the relay again and again, each time for longer than Redis remembers.
func TestKillNineOnRedisWithoutDedup(t *testing.T) {
	redisVersions(t, func(t *testing.T, version string) {
		db := harness.Postgres(t)
		s := newRedisStream(harness.StartRedis(t, harness.RedisOptions{Version: version}).URL, "no-dedup")
		g := newGame(t, db, 30, "game")
		p := s.process(t, db.URL, "OUTBOX_REDIS_DEDUP_WINDOW="+shortWindow.String())
		stopGame := g.start(t, 4)
		for range 6 {
			before := s.count(t)
			p.start()
			require.Eventually(t, func() bool { return s.count(t) > before }, 20*time.Second, 5*time.Millisecond, "nothing is published")
			pauseAtRandom(500 * time.Millisecond)
			p.kill()
			<-time.After(3 * shortWindow) // the crash's length is what the test is about
		}
		stopGame()
		p.start()
		s.requireAll(t, db, g)
		p.stop()
	})
}

// TestRedisLosesItsData removes what Redis had acknowledged, while the relay runs or is down: every event is there again, once, in order.
func TestRedisLosesItsData(t *testing.T) {
	for name, lose := range map[string]func(c *redis.Client, key string) error{
		"DEL":      func(c *redis.Client, key string) error { return c.Del(context.Background(), key).Err() },
		"FLUSHDB":  func(c *redis.Client, _ string) error { return c.FlushDB(context.Background()).Err() },
		"FLUSHALL": func(c *redis.Client, _ string) error { return c.FlushAll(context.Background()).Err() },
		"DEL, and a consumer makes it anew": func(c *redis.Client, key string) error {
			pipe := c.TxPipeline()
			pipe.Del(context.Background(), key)
			pipe.XGroupCreateMkStream(context.Background(), key, "game", "$")
			_, err := pipe.Exec(context.Background())
			return err
		},
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the relay is down: %t", name, down), func(t *testing.T) {
				redisVersions(t, func(t *testing.T, version string) {
					db := harness.Postgres(t)
					s := newRedisStream(harness.StartRedis(t, harness.RedisOptions{Version: version}).URL, "emptied")
					g := newGame(t, db, 30, "game")
					r, stop := runRelay(t, db.URL, s.publisher(t), nil)
					stopGame := g.start(t, 4)
					require.Eventually(t, func() bool { return s.count(t) > 300 }, 20*time.Second, 5*time.Millisecond)
					if down {
						stop()
					}
					require.NoError(t, lose(s.client(t), s.key))
					if down {
						r, stop = runRelay(t, db.URL, s.publisher(t), nil)
					}
					<-time.After(time.Second) // the load's length, not a condition
					stopGame()
					s.requireAll(t, db, g)
					require.True(t, r.Status().Loss.Healed)
					require.Positive(t, r.Status().Loss.Events)
					require.Zero(t, r.Status().DeadLetters)
					stop()
				})
			})
		}
	}
}

// TestAnIdleRelayHealsRedis has nothing to publish when the stream is removed: the relay compares now and then.
func TestAnIdleRelayHealsRedis(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newRedisStream(harness.Redis(t), t.Name())
	r := startRelay(t, db.URL, s.publisher(t), nil)
	for range 5 {
		publishOne(t, db, "game.x")
	}
	requireSettled(t, db.Pool)
	require.NoError(t, s.client(t).Del(t.Context(), s.key).Err())
	require.Eventually(t, func() bool { return s.count(t) == 5 }, time.Minute, 50*time.Millisecond)
	require.EqualValues(t, 5, r.Status().Loss.Events)
}

// TestRedisIsRolledBack starts the server with older files, or makes a replica the primary that was cut off before the last events.
func TestRedisIsRolledBack(t *testing.T) {
	for _, by := range []string{"older files", "a replica"} {
		t.Run(by, func(t *testing.T) {
			redisVersions(t, func(t *testing.T, version string) {
				db := harness.Postgres(t)
				server := harness.StartRedis(t, harness.RedisOptions{Version: version})
				s := newRedisStream(server.URL, "rolled-back")
				g := newGame(t, db, 30, "game")
				r := startRelay(t, db.URL, s.publisher(t), nil)
				g.run(t, 4, time.Second)
				requireSettled(t, db.Pool)
				kept := s.count(t)
				rollBack := rollBackByFiles(server)
				if by == "a replica" {
					rollBack = rollBackByReplica(t, server, s, version)
				}
				g.run(t, 4, time.Second)
				requireSettled(t, db.Pool)
				require.Greater(t, s.count(t), kept)
				stopGame := g.start(t, 4)
				rollBack()
				<-time.After(time.Second) // the load's length, not a condition
				stopGame()
				s.requireAll(t, db, g)
				require.True(t, r.Status().Loss.Healed)
				require.Zero(t, r.Status().DeadLetters)
			})
		})
	}
}

// rollBackByFiles keeps a copy of the server's files, and returns what starts it with them.
func rollBackByFiles(server *harness.Server) func() {
	server.Exec("cp", "-r", "/data", "/older")
	return func() {
		server.Exec("redis-cli", "CONFIG", "SET", "appendonly", "no")
		server.Exec("sh", "-c", "rm -rf /data/* && cp -r /older/* /data/")
		server.Kill()
		server.Start()
	}
}

// rollBackByReplica cuts a replica off, and returns what lets the server have the replica's data: it becomes the replica of its
// replica, which is the primary by then, and then takes its place again. For clients that is a failover.
func rollBackByReplica(t *testing.T, server *harness.Server, s redisStream, version string) func() {
	t.Helper()
	other := harness.StartRedis(t, harness.RedisOptions{Version: version})
	a, b := s.client(t), redisStream{url: other.URL}.client(t)
	follow(t, b, server)
	require.NoError(t, b.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	return func() {
		follow(t, a, other)
		require.NoError(t, a.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	}
}

// follow makes a server the replica of another one, and waits until it has its data.
func follow(t *testing.T, c *redis.Client, primary *harness.Server) {
	t.Helper()
	address := primary.Exec("hostname", "-i")
	require.NoError(t, c.Do(t.Context(), "REPLICAOF", firstWord(address), "6379").Err())
	require.Eventually(t, func() bool {
		info := c.InfoMap(context.Background(), "replication").Val()["Replication"]
		return info["master_link_status"] == "up" && info["master_sync_in_progress"] == "0"
	}, 30*time.Second, 20*time.Millisecond)
}

func firstWord(text string) (word string) {
	_, _ = fmt.Sscan(text, &word)
	return word
}

// TestRedisRefusesForAWhile has a server that is down, full, or a replica: nothing is lost, and no attempt is spent.
func TestRedisRefusesForAWhile(t *testing.T) {
	for name, trouble := range map[string]struct {
		begin, end func(server *harness.Server, c *redis.Client) error
	}{
		"down": {
			func(server *harness.Server, _ *redis.Client) error { server.Kill(); return nil },
			func(server *harness.Server, _ *redis.Client) error { server.Start(); return nil },
		},
		"full": {
			func(_ *harness.Server, c *redis.Client) error {
				return c.ConfigSet(context.Background(), "maxmemory", "1").Err()
			},
			func(_ *harness.Server, c *redis.Client) error {
				return c.ConfigSet(context.Background(), "maxmemory", "0").Err()
			},
		},
		"read-only": {
			func(_ *harness.Server, c *redis.Client) error {
				return c.Do(context.Background(), "REPLICAOF", "127.0.0.1", "1").Err()
			},
			func(_ *harness.Server, c *redis.Client) error {
				return c.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			redisVersions(t, func(t *testing.T, version string) {
				db := harness.Postgres(t)
				server := harness.StartRedis(t, harness.RedisOptions{Version: version})
				s := newRedisStream(server.URL, "refusing")
				g := newGame(t, db, 30, "game")
				r := startRelay(t, db.URL, s.publisher(t), func(c *relay.Config) { c.MaxAttempts = 2 })
				stopGame := g.start(t, 4)
				for range 2 {
					before := s.count(t)
					require.Eventually(t, func() bool { return s.count(t) > before }, 20*time.Second, 5*time.Millisecond)
					require.NoError(t, trouble.begin(server, s.client(t)))
					<-time.After(2 * time.Second) // the trouble's length is what the test is about
					require.NoError(t, trouble.end(server, s.client(t)))
				}
				stopGame()
				s.requireAll(t, db, g)
				require.Zero(t, r.Status().DeadLetters)
				require.Nil(t, r.Status().Loss)
			})
		})
	}
}

// TestWhatRedisStreamsRemoveIsNoLoss has settings and consumers remove what was acknowledged.
func TestWhatRedisStreamsRemoveIsNoLoss(t *testing.T) {
	redisVersions(t, func(t *testing.T, version string) {
		db := harness.Postgres(t)
		s := newRedisStream(harness.StartRedis(t, harness.RedisOptions{Version: version}).URL, "removed")
		s.window = shortWindow
		_, stop := runRelay(t, db.URL, s.publisher(t), nil)
		for range 10 {
			publishOne(t, db, "game.x")
		}
		requireSettled(t, db.Pool)
		stop()
		require.NoError(t, s.client(t).XTrimMaxLen(t.Context(), s.key, 0).Err())
		<-time.After(2 * shortWindow) // a purge by hand would be healed now
		r := startRelay(t, db.URL, s.publisher(t), nil)
		publishOne(t, db, "game.after")
		requireSettled(t, db.Pool)
		require.Nil(t, r.Status().Loss)
		require.Equal(t, 1, s.count(t))
	})
}

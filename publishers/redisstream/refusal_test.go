package redisstream

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// refusal is a state of a server in which it takes no events.
type refusal struct {
	kind  string
	words []string
	// provoke brings the server into the state and returns what ends it.
	provoke func(t *testing.T, s *harness.Server, c *redis.Client, cfg Config) func()
}

func setting(name, bad, good string) func(*testing.T, *harness.Server, *redis.Client, Config) func() {
	return func(t *testing.T, _ *harness.Server, c *redis.Client, _ Config) func() {
		require.NoError(t, c.ConfigSet(t.Context(), name, bad).Err())
		return func() { require.NoError(t, c.ConfigSet(t.Context(), name, good).Err()) }
	}
}

// replicaOfNobody makes the server a replica whose primary is away.
func replicaOfNobody(t *testing.T, c *redis.Client) func() {
	require.NoError(t, c.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	return func() { require.NoError(t, c.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err()) }
}

var refusals = map[string]refusal{
	"OOM": {"throttled", []string{"OOM"}, setting("maxmemory", "1", "0")},
	"READONLY": {"unavailable", []string{"READONLY"}, func(t *testing.T, _ *harness.Server, c *redis.Client, _ Config) func() {
		return replicaOfNobody(t, c)
	}},
	"MASTERDOWN": {"unavailable", []string{"MASTERDOWN"}, func(t *testing.T, _ *harness.Server, c *redis.Client, _ Config) func() {
		require.NoError(t, c.ConfigSet(t.Context(), "replica-serve-stale-data", "no").Err())
		return replicaOfNobody(t, c)
	}},
	"NOREPLICAS": {"unavailable", []string{"NOREPLICAS"}, setting("min-replicas-to-write", "1", "0")},
	"MISCONF": {"unavailable", []string{"MISCONF", "disk"}, func(t *testing.T, s *harness.Server, c *redis.Client, _ Config) func() {
		require.NoError(t, c.ConfigSet(t.Context(), "save", "3600 1").Err())
		require.NoError(t, c.Set(t.Context(), "any", "thing", 0).Err())
		s.Exec("mkdir", "/data/dump.rdb")
		save := func(status string) {
			_ = c.BgSave(t.Context())
			require.Eventually(t, func() bool {
				return contains(c.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:"+status, "rdb_bgsave_in_progress:0")
			}, patience, tick)
		}
		save("err")
		return func() {
			s.Exec("rmdir", "/data/dump.rdb")
			save("ok")
		}
	}},
	"BUSY": {"unavailable", []string{"BUSY"}, func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config) func() {
		require.NoError(t, c.ConfigSet(t.Context(), "busy-reply-threshold", "20").Err())
		over := make(chan struct{})
		busy := admin(t, cfg)
		go func() {
			defer close(over)
			_ = busy.Eval(context.Background(), "while true do end", nil).Err()
		}()
		require.Eventually(t, func() bool { return redis.HasErrorPrefix(c.Ping(t.Context()).Err(), "BUSY") }, patience, tick)
		return func() {
			require.NoError(t, c.ScriptKill(t.Context()).Err())
			<-over
		}
	}},
	"WRONGTYPE of the stream": {"misconfigured", []string{"WRONGTYPE", "redis.stream"},
		func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config) func() {
			require.NoError(t, c.Del(t.Context(), cfg.Stream).Err())
			require.NoError(t, c.Set(t.Context(), cfg.Stream, "a text", 0).Err())
			return func() { require.NoError(t, c.Del(t.Context(), cfg.Stream).Err()) }
		}},
	"a stream without a further id": {"misconfigured", []string{"exhausted", "redis.stream"},
		func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config) func() {
			last := addOf(cfg.Stream)
			last.ID = "18446744073709551615-18446744073709551615"
			require.NoError(t, c.XAdd(t.Context(), last).Err())
			return func() { require.NoError(t, c.Del(t.Context(), cfg.Stream).Err()) }
		}},
	"NOPERM": {"misconfigured", []string{"no permissions", "ACL SETUSER"}, func(t *testing.T, _ *harness.Server, c *redis.Client, _ Config) func() {
		require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "-xadd").Err())
		return func() { require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "+xadd").Err()) }
	}},
	"NOAUTH": {"misconfigured", []string{"NOAUTH", "redis.password"}, func(t *testing.T, _ *harness.Server, c *redis.Client, _ Config) func() {
		require.NoError(t, c.ConfigSet(t.Context(), "requirepass", "hunter2").Err())
		// What is signed in stays so.
		require.NoError(t, c.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
		return func() { require.NoError(t, c.ConfigSet(t.Context(), "requirepass", "").Err()) }
	}},
}

// A server that begins to refuse and ends it: nothing is claimed, the error has its class, and the publisher heals.
func TestRefusalsOfARealServer(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		for name, refusal := range refusals {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t, version)
				cfg := configFor(t, s.URL)
				c := admin(t, cfg)
				p, logs := connect(t, cfg)
				publish(t, p, testEvents(3, 1))
				end := refusal.provoke(t, s, c, cfg)
				events := testEvents(1200, 7)
				outcomes, err := p.Publish(t.Context(), events)
				for tries := 0; kind(err) == "unavailable" && refusal.kind != "unavailable" && tries < 100; tries++ {
					outcomes, err = p.Publish(t.Context(), events) // the connection was just being closed
				}
				require.Equal(t, refusal.kind, kind(err), "%v", err)
				for _, word := range refusal.words {
					require.Contains(t, err.Error(), word)
				}
				require.Equal(t, make([]relay.Outcome, len(events)), outcomes)
				end()
				deliver(t, p, events)
				require.NotContains(t, storedIDs(t, c, cfg.Stream), int64(0))
				stored := storedIDs(t, c, cfg.Stream)
				require.Equal(t, ids(events), stored[len(stored)-len(events):])
				for _, entry := range logs.All() {
					require.NotContains(t, entry.ContextMap(), "hunter")
				}
			})
		}
	})
}

// The state may change between the parts of a batch. What the later parts hold must not overtake.
func TestServerThatRefusesForAMomentReordersNothing(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		over := make(chan struct{})
		stop := make(chan struct{})
		go func() {
			defer close(over)
			for {
				select {
				case <-stop:
					return
				default:
					_ = c.ConfigSet(context.Background(), "maxmemory", "1").Err()
					_ = c.ConfigSet(context.Background(), "maxmemory", "0").Err()
				}
			}
		}()
		var all []relay.Event
		for range 20 {
			events := testEvents(4096, 7)
			deliver(t, p, events)
			all = append(all, events...)
		}
		close(stop)
		<-over
		require.Equal(t, ids(all), storedIDs(t, c, cfg.Stream))
	})
}

// A server that forgot the script gets it again, and the caller sees nothing of it.
func TestScriptThatTheServerForgot(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		var all []relay.Event
		for range 3 {
			events := testEvents(2000, 7)
			require.NoError(t, c.ScriptFlush(t.Context()).Err())
			publish(t, p, events)
			all = append(all, events...)
		}
		require.Equal(t, ids(all), storedIDs(t, c, cfg.Stream))
	})
}

func TestServerAtItsLimitOfClients(t *testing.T) {
	t.Parallel()
	s := start(t, "8.0")
	cfg := configFor(t, s.URL)
	c := admin(t, cfg)
	require.NoError(t, c.ConfigSet(t.Context(), "maxclients", "1").Err())
	// The server says so and hangs up, and the second may be noticed first.
	requireRefused(t, cfg, "unavailable")
}

func TestDatabaseThatTheServerDoesNotHave(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	cfg.DB = 99
	requireRefused(t, cfg, "misconfigured", "redis.db")
	cfg.DB = 3
	requireWorks(t, cfg)
}

// A right that is taken away is no reason to forget the ids.
func TestIDsOutliveAMissingRight(t *testing.T) {
	t.Parallel()
	s := start(t, "8.0")
	cfg := configFor(t, s.URL)
	c := admin(t, cfg)
	p, _ := connect(t, cfg)
	events := testEvents(100, 7)
	publish(t, p, events)
	for _, command := range []string{"xpending", "xinfo"} {
		require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "-"+command).Err())
		_, err := p.Publish(t.Context(), events)
		require.Equal(t, "misconfigured", kind(err), "%v", err)
		require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "+"+command).Err())
		for _, outcome := range publish(t, p, events) {
			require.True(t, outcome.Duplicate)
		}
	}
}

// The right to write the ids is found missing before an entry is written that nobody would remember.
func TestNoEntryWithoutTheRightToRememberIt(t *testing.T) {
	t.Parallel()
	s := start(t, "8.0")
	cfg := configFor(t, s.URL)
	c := admin(t, cfg)
	require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "relay", "on", ">hunter2", "+@all", "-hset", "~*").Err())
	cfg.Username, cfg.Password = "relay", "hunter2"
	requireRefused(t, cfg, "misconfigured", "hset")
	require.Zero(t, c.XLen(t.Context(), cfg.Stream).Val())
}

package redisstream

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// pair is a primary and its replica.
type pair struct {
	primary, replica *harness.Server
	cfg              Config
	a, b             *redis.Client
}

func startPair(t *testing.T, version string) pair {
	t.Helper()
	p := pair{primary: start(t, version), replica: start(t, version)}
	p.cfg = configFor(t, p.primary.URL)
	p.a, p.b = admin(t, p.cfg), admin(t, configFor(t, p.replica.URL))
	require.NoError(t, p.b.Do(t.Context(), "REPLICAOF", address(p.primary), "6379").Err())
	p.awaitReplica(t)
	return p
}

func (p pair) awaitReplica(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Contains(p.b.Info(context.Background(), "replication").Val(), "master_link_status:up") &&
			p.a.Wait(context.Background(), 1, time.Second).Val() == 1
	}, patience, tick)
}

// awaitEntries returns when the replica's stream has so many entries. WAIT would speak of what its own connection has written.
func (p pair) awaitEntries(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return p.b.XLen(context.Background(), p.cfg.Stream).Val() == int64(n) }, patience, tick)
}

// An event counts as stored when as many replicas have it as the settings say; before, it is sent again and is then a duplicate.
func TestWaitForReplicas(t *testing.T) {
	t.Parallel()
	for _, aof := range []bool{false, true} {
		name := map[bool]string{false: "WAIT", true: "WAITAOF"}[aof]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := startPair(t, "8.0")
			cfg := pair.cfg
			cfg.WaitReplicas, cfg.WaitAOF, cfg.WaitTimeout = 1, aof, 300*time.Millisecond
			p, _ := connect(t, cfg)
			first, second := testEvents(700, 7), testEvents(700, 7)
			require.Eventually(t, func() bool { // a replica's first fsync may take its time
				outcomes, err := p.Publish(context.Background(), first)
				return err == nil && outcomes[699].Stored
			}, patience, tick)
			require.Equal(t, ids(first), storedIDs(t, pair.b, cfg.Stream))

			pair.replica.Pause()
			for range 2 {
				outcomes, err := p.Publish(t.Context(), second)
				require.Equal(t, "unavailable", kind(err), "%v", err)
				require.Contains(t, err.Error(), "redis.wait_timeout")
				require.Equal(t, make([]relay.Outcome, len(second)), outcomes)
			}
			pair.replica.Unpause()
			require.Eventually(t, func() bool {
				outcomes, err := p.Publish(context.Background(), second)
				return err == nil && outcomes[0].Stored && outcomes[0].Duplicate
			}, patience, tick)
			require.Equal(t, append(ids(first), ids(second)...), storedIDs(t, pair.b, cfg.Stream))
		})
	}
}

// The disk of the server alone.
func TestWaitForTheDisk(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	cfg.WaitAOF = true
	requireWorks(t, cfg)

	s := start(t, "8.0")
	cfg = configFor(t, s.URL)
	cfg.WaitAOF = true
	require.NoError(t, admin(t, cfg).ConfigSet(t.Context(), "appendonly", "no").Err())
	p, _ := connect(t, cfg)
	_, err := p.Publish(t.Context(), testEvents(3, 1))
	require.Equal(t, "misconfigured", kind(err), "%v", err)
	require.Contains(t, err.Error(), "appendonly")
}

// The replica knows the ids with the entries, in both modes, so that a failover makes no duplicate of what it has.
func TestFailoverKeepsTheIDs(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		pair := startPair(t, version)
		p, _ := connect(t, pair.cfg)
		events := testEvents(700, 7)
		publish(t, p, events)
		pair.awaitEntries(t, len(events))
		pair.primary.Kill()
		require.NoError(t, pair.b.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
		other := pair.cfg
		other.Port = configFor(t, pair.replica.URL).Port
		q, _ := connect(t, other)
		for _, outcome := range publish(t, q, events) {
			require.True(t, outcome.Duplicate)
		}
	})
}

// The Sentinel names the primary, and after its end the replica.
func TestSentinel(t *testing.T) {
	t.Parallel()
	pair := startPair(t, "8.0")
	sentinel := harness.StartRedis(t, harness.RedisOptions{Plain: true, Args: []string{"/data/sentinel.conf", "--sentinel"},
		Files: map[string][]byte{"/data/sentinel.conf": []byte("port 6379\nsentinel resolve-hostnames no\n")}})
	s := redis.NewSentinelClient(&redis.Options{Addr: withoutScheme(sentinel.URL)})
	defer s.Close()
	require.NoError(t, s.Monitor(t.Context(), "game", address(pair.primary), "6379", "1").Err())
	require.NoError(t, s.Set(t.Context(), "game", "down-after-milliseconds", "500").Err())
	require.Eventually(t, func() bool { replicas := s.Replicas(context.Background(), "game").Val(); return len(replicas) == 1 }, patience, tick)

	cfg := pair.cfg
	cfg.Addresses, cfg.Sentinel.MasterName = []string{withoutScheme(sentinel.URL)}, "game"
	cfg.ConnectTimeout, cfg.PublishTimeout = time.Second, time.Second
	p, _ := connect(t, cfg)
	first, second := testEvents(500, 7), testEvents(500, 7)
	publish(t, p, first)
	pair.awaitEntries(t, len(first))
	pair.primary.Pause() // one that is killed gives its address back, and the replica may follow another test's server there
	defer pair.primary.Unpause()
	deliver(t, p, second)
	require.Equal(t, append(ids(first), ids(second)...), storedIDs(t, pair.b, cfg.Stream))

	cfg.Sentinel.MasterName = "nobody"
	requireRefused(t, cfg, "misconfigured", "nobody", "redis.sentinel.master_name")
	cfg.Addresses = []string{"127.0.0.1:1"}
	requireRefused(t, cfg, "unavailable", "nobody", "redis.addresses")
}

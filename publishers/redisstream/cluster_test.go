package redisstream

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// startCluster starts a Cluster of one node, which tells clients the address at which they reach it.
func startCluster(t *testing.T, version string) (Config, *redis.Client) {
	t.Helper()
	cfg := configFor(t, start(t, version, "--cluster-enabled", "yes").URL)
	c := admin(t, cfg)
	require.NoError(t, c.ConfigSet(t.Context(), "cluster-announce-ip", "127.0.0.1").Err())
	require.NoError(t, c.ConfigSet(t.Context(), "cluster-announce-port", strconv.Itoa(cfg.Port)).Err())
	require.NoError(t, c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	awaitCluster(t, c)
	cfg.Cluster = true
	return cfg, c
}

func awaitCluster(t *testing.T, c *redis.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Contains(c.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	}, patience, tick)
}

func TestCluster(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg, c := startCluster(t, version)
		for _, stream := range []string{"game:events", "{game}:events", "a{b"} {
			cfg.Stream = stream
			p, logs := connect(t, cfg)
			events := testEvents(1500, 7)
			publish(t, p, events)
			for _, outcome := range publish(t, p, events) {
				require.True(t, outcome.Duplicate)
			}
			require.Equal(t, ids(events), storedIDs(t, c, stream))
			require.Len(t, logged(logs, "Redis Stream connected successfully"), 1)
			slot := c.ClusterKeySlot(t.Context(), stream).Val()
			for _, key := range p.session.keys(hashMode, "x") {
				require.Equal(t, slot, c.ClusterKeySlot(t.Context(), key).Val(), key)
			}
		}
	})
}

// A node that lost its slots is an outage, and one without a Cluster a mistake.
func TestClusterThatIsDown(t *testing.T) {
	t.Parallel()
	cfg, c := startCluster(t, "8.0")
	p, _ := connect(t, cfg)
	events := testEvents(10, 1)
	require.NoError(t, c.ClusterDelSlotsRange(t.Context(), 0, 16383).Err())
	_, err := p.Publish(t.Context(), events)
	require.Equal(t, "unavailable", kind(err), "%v", err)
	require.NoError(t, c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	awaitCluster(t, c)
	deliver(t, p, events)
	require.Equal(t, ids(events), storedIDs(t, c, cfg.Stream))

	cfg = configFor(t, harness.Redis(t))
	cfg.Cluster = true
	requireRefused(t, cfg, "misconfigured", "redis.cluster")
}

// Without redis.cluster a Cluster is usable by chance at best, so the error says what to set.
func TestClusterThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	first, second := start(t, "8.0", "--cluster-enabled", "yes"), start(t, "8.0", "--cluster-enabled", "yes")
	cfg, other := configFor(t, first.URL), configFor(t, second.URL)
	a, b := admin(t, cfg), admin(t, other)
	require.NoError(t, a.ClusterAddSlotsRange(t.Context(), 0, 8191).Err())
	require.NoError(t, b.ClusterAddSlotsRange(t.Context(), 8192, 16383).Err())
	// One alone sets its epoch, for two of the same would take a while to agree.
	require.NoError(t, b.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", 2).Err())
	require.NoError(t, a.ClusterMeet(t.Context(), address(second), "6379").Err())
	awaitCluster(t, a)
	cfg.Stream = "{" + tagOfSlot(t, a, 8192) + "}"
	requireRefused(t, cfg, "misconfigured", "MOVED", "redis.cluster")
}

// address returns where other containers reach the server.
func address(s *harness.Server) string { return strings.Fields(s.Exec("hostname", "-i"))[0] }

// tagOfSlot returns a hash tag whose slot is at least the given one.
func tagOfSlot(t *testing.T, c *redis.Client, slot int64) string {
	t.Helper()
	for n := 0; ; n++ {
		if tag := strconv.Itoa(n); c.ClusterKeySlot(t.Context(), tag).Val() >= slot {
			return tag
		}
	}
}

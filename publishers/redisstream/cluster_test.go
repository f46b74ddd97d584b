package redisstream

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
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

// startTwoNodes starts a Cluster of two nodes, of which the first has all slots but the last: a node without any would become a
// replica. Clients of this machine reach each at the address that
// it announces; the nodes find each other by the bus port, which is the container's own.
func startTwoNodes(t *testing.T) (cfg Config, nodes [2]*redis.Client) {
	t.Helper()
	for i := range nodes {
		s := start(t, "8.0", "--cluster-enabled", "yes")
		own := configFor(t, s.URL)
		nodes[i] = admin(t, own)
		ip := address(s)
		require.NoError(t, nodes[i].ConfigSet(t.Context(), "cluster-announce-ip", ip).Err())
		require.NoError(t, nodes[i].Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i == 0 {
			cfg = own
			cfg.Cluster, cfg.Addresses = true, []string{ip + ":6379"}
			cfg.Stream = "{game}:events"
			require.NoError(t, nodes[0].ClusterAddSlotsRange(t.Context(), 0, 16382).Err())
			continue
		}
		require.NoError(t, nodes[1].ClusterAddSlotsRange(t.Context(), 16383, 16383).Err())
		require.NoError(t, nodes[1].ClusterMeet(t.Context(), strings.Split(cfg.Addresses[0], ":")[0], "6379").Err())
	}
	for _, node := range nodes {
		awaitCluster(t, node)
		require.Eventually(t, func() bool {
			return strings.Contains(node.ClusterInfo(context.Background()).Val(), "cluster_known_nodes:2")
		}, patience, tick)
	}
	return cfg, nodes
}

// The slot of the stream goes to another node and back while events are published: each is stored once, in order.
func TestSlotThatMoves(t *testing.T) {
	t.Parallel()
	cfg, nodes := startTwoNodes(t)
	p, _ := connect(t, cfg)
	slot := nodes[0].ClusterKeySlot(t.Context(), cfg.Stream).Val()
	var all []relay.Event
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			events := testEvents(700, 7)
			if !assert.NoError(t, tryDeliver(t.Context(), p, events)) {
				return
			}
			all = append(all, events...)
		}
	}()
	from, to := nodes[0], nodes[1]
	for range 4 {
		before := from.XLen(t.Context(), cfg.Stream).Val()
		require.Eventually(t, func() bool { return from.XLen(context.Background(), cfg.Stream).Val() > before+1000 }, patience, tick)
		moveSlot(t, slot, from, to)
		from, to = to, from
	}
	before := from.XLen(t.Context(), cfg.Stream).Val()
	require.Eventually(t, func() bool { return from.XLen(context.Background(), cfg.Stream).Val() > before+1000 }, patience, tick)
	close(stop)
	<-stopped
	require.Equal(t, ids(all), storedIDs(t, from, cfg.Stream))
}

// moveSlot moves a slot with its keys as redis-cli --cluster reshard does.
func moveSlot(t *testing.T, slot int64, from, to *redis.Client) {
	t.Helper()
	ctx := t.Context()
	source, target := from.ClusterMyID(ctx).Val(), to.ClusterMyID(ctx).Val()
	require.NoError(t, to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", source).Err())
	require.NoError(t, from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", target).Err())
	host, port := addressOf(t, to)
	require.Eventually(t, func() bool {
		keys := from.ClusterGetKeysInSlot(ctx, int(slot), 100).Val()
		for _, key := range keys {
			require.NoError(t, from.Migrate(ctx, host, port, key, 0, patience).Err())
		}
		return len(keys) == 0
	}, patience, tick)
	for _, node := range []*redis.Client{to, from} {
		require.NoError(t, node.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", target).Err())
	}
}

// addressOf returns where a node says that others reach it.
func addressOf(t *testing.T, node *redis.Client) (host, port string) {
	t.Helper()
	for line := range strings.Lines(node.ClusterNodes(t.Context()).Val()) {
		if fields := strings.Fields(line); strings.Contains(fields[2], "myself") {
			hostPort, _, _ := strings.Cut(fields[1], "@")
			host, port, _ = strings.Cut(hostPort, ":")
		}
	}
	require.NotEmpty(t, host)
	return host, port
}

package jetstream

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// cluster is three servers that replicate streams.
type cluster []*testServer

func startCluster(t *testing.T) cluster {
	t.Helper()
	routed := []int{freePort(t), freePort(t), freePort(t)}
	routes := make([]string, len(routed))
	for i, port := range routed {
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", port)
	}
	c := make(cluster, len(routed))
	for i, port := range routed {
		c[i] = startServer(t, fmt.Sprintf(
			"server_name: n%d\ncluster { name: c, listen: \"127.0.0.1:%d\", routes: [%s] }", i, port, strings.Join(routes, ",")))
	}
	return c
}

func (c cluster) urls() string {
	urls := make([]string, len(c))
	for i, s := range c {
		urls[i] = s.url()
	}
	return strings.Join(urls, ",")
}

// stream creates the replicated stream of the settings as soon as the cluster can.
func (c cluster) stream(t *testing.T, cfg Config, fast bool) jsapi.JetStream {
	t.Helper()
	nc, err := nats.Connect(c.urls(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jsapi.New(nc)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, cfg.stream(fast))
		return err == nil
	}, 2*patience, 50*time.Millisecond)
	return js
}

// leader returns the server that leads the stream.
func (c cluster) leader(name string) *testServer {
	for _, s := range c {
		if s.running.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, name) {
			return s
		}
	}
	return nil
}

// clusterConfig returns settings for a stream that all servers replicate.
func clusterConfig(t *testing.T, c cluster) Config {
	cfg := configFor(t, c.urls())
	cfg.Replicas = 3
	return cfg
}

// deliverAll publishes batches until stop says so, each until it is stored, and returns everything.
func deliverAll(t *testing.T, p *Publisher, cfg Config, stop func() bool) []relay.Event {
	t.Helper()
	var all []relay.Event
	for last := false; !last; {
		last = stop() || len(all) > 300_000
		events := testEvents(cfg, 1000, 7)
		all = append(all, events...)
		deadline := time.Now().Add(2 * patience)
		for len(events) > 0 {
			require.True(t, time.Now().Before(deadline), "the events could not be delivered in time")
			outcomes, err := p.Publish(t.Context(), events)
			var left []relay.Event
			for i, outcome := range outcomes {
				if outcome.Err != nil {
					require.Equal(t, "throttled", kind(outcome.Err), "%v", outcome.Err)
				}
				if !outcome.Stored {
					left = append(left, events[i])
				}
			}
			if err != nil && len(left) == len(events) {
				require.Contains(t, []string{"unavailable", "retry", "throttled"}, kind(err), "%v", err)
				<-time.After(10 * time.Millisecond) // the relay's backoff
			}
			events = left
		}
	}
	return all
}

// requireOrder checks that the stream holds the events, each once, and each key in order.
func requireOrder(t *testing.T, js jsapi.JetStream, stream string, events []relay.Event) {
	t.Helper()
	stored := storedIDs(t, js, stream)
	require.Equal(t, slices.Sorted(slices.Values(ids(events))), slices.Sorted(slices.Values(stored)), "each event once")
	keys, last := map[int64]string{}, map[string]int64{}
	for _, e := range events {
		keys[e.ID] = e.Key
	}
	for _, id := range stored {
		require.Greater(t, id, last[keys[id]], "key %s", keys[id])
		last[keys[id]] = id
	}
}

// Leaders step down and die while events are published: nothing is lost, doubled or out of order.
func TestLeadersChange(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		t.Run(map[bool]string{true: "fast", false: "keyed"}[fast], func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			cfg := clusterConfig(t, c)
			js := c.stream(t, cfg, fast)
			p, _ := connect(t, cfg)
			changed := make(chan struct{})
			go func() {
				defer close(changed)
				changeLeaders(t, c, js, cfg.StreamName)
			}()
			all := deliverAll(t, p, cfg, func() bool {
				select {
				case <-changed:
					return true
				default:
					return false
				}
			})
			<-changed
			requireOrder(t, js, cfg.StreamName, all)
		})
	}
}

// Only where other servers could know more does the one that describes the stream have time to catch up.
func TestLeadersHaveTimeToCatchUp(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	cfg := clusterConfig(t, c)
	c.stream(t, cfg, true)
	p, _ := connect(t, cfg)
	state, err := p.Inspect(t.Context())
	require.NoError(t, err)
	require.Contains(t, []string{"n0", "n1", "n2"}, state.Leader)
	require.Equal(t, catchUp, state.CatchUp)

	alone, _ := connect(t, configFor(t, startServer(t, "").url()))
	state, err = alone.Inspect(t.Context())
	require.NoError(t, err)
	require.Empty(t, state.Leader)
	require.Zero(t, state.CatchUp)
}

// A server that is left alone answers for the stream as well, with what it has.
func TestOnlyTheLeaderIsBelieved(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	cfg := clusterConfig(t, c)
	c.stream(t, cfg, true)
	p, _ := connect(t, cfg)
	eventually(t, p, testEvents(cfg, 10, 3))
	for _, s := range c[1:] {
		s.stop()
	}
	require.Eventually(t, func() bool {
		_, err := p.Inspect(t.Context())
		return err != nil && strings.Contains(err.Error(), "has no leader")
	}, 3*patience, 50*time.Millisecond)
	for _, s := range c[1:] {
		s.start()
	}
	require.Eventually(t, func() bool {
		state, err := p.Inspect(t.Context())
		return err == nil && state.Last == 10
	}, 3*patience, 50*time.Millisecond)
}

func TestUnled(t *testing.T) {
	t.Parallel()
	n1, n2 := &jsapi.PeerInfo{Name: "n1"}, &jsapi.PeerInfo{Name: "n2"}
	for name, tt := range map[string]struct {
		replicas int
		cluster  *jsapi.ClusterInfo
		want     string
	}{
		"a server alone":             {1, nil, ""},
		"one replica in a cluster":   {1, &jsapi.ClusterInfo{Leader: "n1"}, ""},
		"its leader":                 {3, &jsapi.ClusterInfo{Leader: "n3", Replicas: []*jsapi.PeerInfo{n1, n2}}, ""},
		"no leader":                  {3, &jsapi.ClusterInfo{Replicas: []*jsapi.PeerInfo{n1, n2}}, "has no leader"},
		"another than its leader n1": {3, &jsapi.ClusterInfo{Leader: "n1", Replicas: []*jsapi.PeerInfo{n1, n2}}, "its leader n1"},
	} {
		err := unled(&jsapi.StreamInfo{Config: jsapi.StreamConfig{Name: "S", Replicas: tt.replicas}, Cluster: tt.cluster})
		if tt.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tt.want, name)
		require.Equal(t, "unavailable", kind(err), name)
	}
}

// changeLeaders lets the leader step down a few times, waiting until there is a new one that has stored something, and then
// stops and starts the leader's server.
func changeLeaders(t *testing.T, c cluster, js jsapi.JetStream, stream string) {
	for range 4 {
		awaitGrowth(t, c, js, stream)
		_, _ = js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, 2*time.Second)
	}
	awaitGrowth(t, c, js, stream)
	if leader := c.leader(stream); leader != nil {
		leader.stop()
		leader.start()
	}
	awaitGrowth(t, c, js, stream)
}

// awaitGrowth waits until a leader has stored some more.
func awaitGrowth(t *testing.T, c cluster, js jsapi.JetStream, stream string) {
	var first uint64
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		info, err := js.Stream(ctx, stream)
		cancel()
		if err != nil || c.leader(stream) == nil {
			continue
		}
		switch last := info.CachedInfo().State.LastSeq; {
		case first == 0:
			first = last + 1
		case last > first+2000:
			return
		}
	}
	t.Error("the stream does not grow")
}

// A stream without a majority has no leader: that is an outage, and it heals.
func TestAStreamWithoutALeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	cfg := clusterConfig(t, c)
	js := c.stream(t, cfg, true)
	cfg.NATSURL = c[0].url()
	p, _ := connect(t, cfg)
	before := testEvents(cfg, 50, 3)
	eventually(t, p, before)
	c[1].stop()
	c[2].stop()
	during := testEvents(cfg, 50, 3)
	require.Eventually(t, func() bool {
		outcomes, err := p.Publish(t.Context(), during)
		for _, outcome := range outcomes {
			require.False(t, outcome.Stored, "nothing can be stored by a minority")
		}
		return kind(err) == "unavailable"
	}, 2*patience, 10*time.Millisecond)
	c[1].start()
	c[2].start()
	eventually(t, p, during)
	requireOrder(t, js, cfg.StreamName, append(before, during...))
}

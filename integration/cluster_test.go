package integration_test

import (
	"fmt"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// TestOrderThroughLeaderChanges plays while the leader of a replicated stream steps down, and while every node of the cluster is
// restarted and killed in turn; once with fast ingest, and once with servers that do not know it.
func TestOrderThroughLeaderChanges(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.15", "2.10"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			cluster := harness.StartNATSCluster(t, 3, version)
			s := newStream(t, cluster.URL, "replicated")
			g := newGame(t, db, 30, s.subject)
			p := newProcess(t, db.URL, s, "OUTBOX_MQ_REPLICAS=3", "OUTBOX_MQ_PUBLISH_TIMEOUT=2s")
			p.start()
			p.requireReady()
			stopGame := g.start(t, 4)
			admin := s.admin(t)
			for range 4 {
				requireGrowth(t, s, 50)
				_, err := admin.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+s.name, nil, 5*time.Second)
				require.NoError(t, err)
			}
			for i, node := range cluster.Nodes {
				requireGrowth(t, s, 50)
				if i == 0 {
					node.Kill()
				} else {
					node.Stop()
				}
				pauseAtRandom(time.Second)
				node.Start()
			}
			requireGrowth(t, s, 50)
			stopGame()
			if version == "2.10" {
				// A leader that has lost an event which it took refuses it until it forgets the id, after the duplicate window.
				require.Eventually(t, func() bool { return waiting(t, db.Pool) == 0 }, 3*time.Minute, 20*time.Millisecond, "not drained")
			}
			requireSettled(t, db.Pool)
			g.requireWhole(t, s.moves(t))
			require.Nil(t, p.status().Loss, "a change of leader loses nothing")
			require.Zero(t, p.status().DeadLetters)
			p.stop()
			t.Logf("%d events", s.count())
		})
	}
}

// TestAnEventInFlightIsNotStored has a leader whose replicas are silent: it takes an event and cannot store it. Asked again it knows the id,
// and a server of 2.10 acknowledges it as a duplicate, which it is not yet.
func TestAnEventInFlightIsNotStored(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.15", "2.10"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cluster := harness.StartNATSCluster(t, 3, version)
			s := newStream(t, cluster.URL, "inflight")
			js := s.admin(t)
			_, err := js.CreateStream(t.Context(), natsjs.StreamConfig{
				Name: s.name, Subjects: []string{s.subject + ".>"}, Replicas: len(cluster.Nodes), AllowBatchPublish: version == "2.15",
			})
			require.NoError(t, err)
			leader, others := leaderOf(t, js, s.name, cluster)
			s.url = leader.URL
			p := s.publisher(t)
			events := []relay.Event{{ID: 1, EventID: outbox.ID{1}, Subject: s.subject + ".x", Key: "k"}}
			var outcomes []relay.Outcome
			require.Eventually(t, func() bool {
				outcomes, err = p.Publish(t.Context(), []relay.Event{{ID: 0, EventID: outbox.ID{9}, Subject: s.subject + ".x", Key: "k"}})
				return err == nil && outcomes[0].Stored
			}, time.Minute, 50*time.Millisecond, "the stream takes events")

			for _, node := range others {
				node.Pause()
			}
			for range 3 {
				outcomes, err = p.Publish(t.Context(), events)
				require.False(t, outcomes[0].Stored, "%+v, %v", outcomes[0], err)
			}
			for _, node := range others {
				node.Unpause()
			}
			require.Eventually(t, func() bool {
				outcomes, err = p.Publish(t.Context(), events)
				return outcomes[0].Stored
			}, 4*time.Minute, 50*time.Millisecond, "%+v", outcomes)
			require.Len(t, s.read(t), 2)
		})
	}
}

// leaderOf returns the server that leads a stream, and the others.
func leaderOf(t *testing.T, js natsjs.JetStream, name string, cluster *harness.NATSCluster) (leader *harness.Server, others []*harness.Server) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	for i, node := range cluster.Nodes {
		if stream.CachedInfo().Cluster.Leader == fmt.Sprintf("n%d", i+1) {
			leader = node
		} else {
			others = append(others, node)
		}
	}
	require.NotNil(t, leader)
	return leader, others
}

// requireGrowth waits until the stream has stored some more events.
func requireGrowth(t *testing.T, s stream, events int) {
	t.Helper()
	before := s.count()
	require.Eventually(t, func() bool { return s.count() >= before+events }, time.Minute, 20*time.Millisecond, "the stream does not grow")
}

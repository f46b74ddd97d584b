package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
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
			requireSettled(t, db.Pool)
			g.requireWhole(t, s.moves(t))
			require.Nil(t, p.status().Loss, "a change of leader loses nothing")
			require.Zero(t, p.status().DeadLetters)
			p.stop()
			t.Logf("%d events", s.count())
		})
	}
}

// requireGrowth waits until the stream has stored some more events.
func requireGrowth(t *testing.T, s stream, events int) {
	t.Helper()
	before := s.count()
	require.Eventually(t, func() bool { return s.count() >= before+events }, time.Minute, 20*time.Millisecond, "the stream does not grow")
}

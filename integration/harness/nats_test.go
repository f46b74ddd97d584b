package harness_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestNATSIsShared(t *testing.T) {
	t.Parallel()
	first, second := harness.NATS(t), harness.NATS(t)
	require.Equal(t, first, second)
	require.NoError(t, dialNATS(first))
}

func TestNATSKeepsStreamsAndAddress(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.15", "2.10"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := harness.StartNATS(t, harness.NATSOptions{Version: version})
			for i, breakage := range breakages(server) {
				require.EqualValues(t, i+1, publish(t, server.URL, version))
				breakage.begin()
				require.Error(t, dialNATS(server.URL), breakage.name)
				breakage.end()
			}
			require.EqualValues(t, 5, publish(t, server.URL, version))
		})
	}
}

func TestNATSTakesConfig(t *testing.T) {
	t.Parallel()
	server := harness.StartNATS(t, harness.NATSOptions{
		Config:   `authorization { user: game, password: secret }`,
		User:     "game",
		Password: "secret",
	})
	require.NoError(t, dialNATS(server.URL))
	require.ErrorIs(t, dialNATS(strings.Replace(server.URL, "secret", "wrong", 1)), nats.ErrAuthorization)
}

func TestNATSClusterOutlivesANode(t *testing.T) {
	t.Parallel()
	cluster := harness.StartNATSCluster(t, 3, "")
	conn, err := nats.Connect(cluster.URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "R3", Subjects: []string{"r3"}, Replicas: 3})
	require.NoError(t, err)

	cluster.Nodes[0].Disconnect()
	eventually(t, func() error { _, err := js.Publish(t.Context(), "r3", nil); return err })
	require.Error(t, dialNATS(cluster.Nodes[0].URL))
	cluster.Nodes[0].Reconnect()
	cluster.Await(t)
	eventually(t, func() error { return allCurrent(t.Context(), stream) })
}

func dialNATS(url string) error {
	conn, err := nats.Connect(url, nats.Timeout(dialTimeout))
	if err != nil {
		return err
	}
	conn.Close()
	return nil
}

// publish stores one message in the server's stream, which it makes if it is missing, and returns the message's sequence.
func publish(t *testing.T, url, version string) uint64 {
	t.Helper()
	const stream = "KEPT"
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	defer conn.Close()
	require.Contains(t, conn.ConnectedServerVersion(), version+".")
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{stream}})
	require.NoError(t, err)
	ack, err := js.Publish(t.Context(), stream, []byte("kept"))
	require.NoError(t, err)
	return ack.Sequence
}

// allCurrent tells whether every replica of the stream has what the leader has.
func allCurrent(ctx context.Context, stream jetstream.Stream) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	for _, replica := range info.Cluster.Replicas {
		if !replica.Current || replica.Offline {
			return fmt.Errorf("replica %s is behind", replica.Name)
		}
	}
	return nil
}

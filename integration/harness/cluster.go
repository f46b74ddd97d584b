package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"golang.org/x/sync/errgroup"
)

// NATSCluster is a cluster of NATS servers with JetStream, of one test, on a network of its own.
type NATSCluster struct {
	// URL names all nodes, separated by commas, as nats.Connect takes it.
	URL string
	// Nodes are the servers "n1", "n2" and so on. A node's Start waits until the node answers, not until the cluster
	// has a leader; see [NATSCluster.Await].
	Nodes []*Server
}

const (
	// clusterPatience is how long a cluster may take from the start of its nodes until it works. Most take two seconds.
	clusterPatience = 30 * time.Second
	// clusterTries bounds how often a cluster is started anew. About one in thirty of those with 2.10 servers never works:
	// between two of them the interest in a reply is lost while duplicate routes are closed, so that a vote does not arrive, ever.
	clusterTries = 4
)

var errClusterStuck = errors.New("the NATS cluster does not work")

// StartNATSCluster starts a cluster of a version, see [NATSOptions], and waits until it stores streams with as many replicas as it
// has nodes.
func StartNATSCluster(tb testing.TB, nodes int, version string) *NATSCluster {
	tb.Helper()
	networkName := startNetwork(tb)
	cluster, err := startCluster(tb.Context(), networkName, nodes, version)
	for try := 1; errors.Is(err, errClusterStuck) && try < clusterTries; try++ {
		cluster, err = startCluster(tb.Context(), networkName, nodes, version)
	}
	if err != nil {
		tb.Fatal(err)
	}
	for _, node := range cluster.Nodes {
		node.own(tb)
	}
	return cluster
}

// startCluster starts a cluster that works, or leaves nothing behind.
func startCluster(ctx context.Context, networkName string, nodes int, version string) (*NATSCluster, error) {
	cluster := &NATSCluster{Nodes: make([]*Server, nodes)}
	var starting errgroup.Group
	for i := range nodes {
		starting.Go(func() (err error) {
			cluster.Nodes[i], err = nodeRecipe(networkName, version, i, nodes).start(ctx)
			return err
		})
	}
	err := starting.Wait()
	if err == nil {
		cluster.URL = strings.Join(cluster.urls(), ",")
		err = cluster.await(ctx, clusterPatience)
	}
	if err != nil {
		return nil, errors.Join(err, cluster.remove())
	}
	return cluster, nil
}

func (c *NATSCluster) urls() []string {
	urls := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		urls[i] = node.URL
	}
	return urls
}

// remove removes the nodes that did start.
func (c *NATSCluster) remove() (err error) {
	for _, node := range c.Nodes {
		if node != nil {
			err = errors.Join(err, node.remove())
		}
	}
	return err
}

// Await waits until the cluster creates a stream with a replica on every node.
func (c *NATSCluster) Await(tb testing.TB) {
	tb.Helper()
	if err := c.await(tb.Context(), startTimeout); err != nil {
		tb.Fatal(err)
	}
}

func (c *NATSCluster) await(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := poll(ctx, c.probe); err != nil {
		return fmt.Errorf("%w: %w", errClusterStuck, err)
	}
	return nil
}

// probe creates a stream with all replicas and deletes it again.
func (c *NATSCluster) probe(ctx context.Context) error {
	const name = "harness-probe"
	return withNATS(ctx, c.URL, func(ctx context.Context, conn *nats.Conn) error {
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: name, Subjects: []string{name}, Replicas: len(c.Nodes), Storage: jetstream.MemoryStorage,
		})
		if err != nil {
			return err
		}
		_, err = js.Publish(ctx, name, nil)
		return errors.Join(err, js.DeleteStream(ctx, name))
	})
}

// nodeRecipe is node i of a cluster. Clients of this machine are told the published addresses of the other nodes.
func nodeRecipe(networkName, version string, i, nodes int) recipe {
	name := nodeName(i)
	r := natsBase(version)
	r.ping = pingNATS
	r.url = func(port int) string { return natsURL(NATSOptions{}, port) }
	r.request = func(port int) testcontainers.ContainerRequest {
		request := natsRequest(fmt.Sprintf(`
			server_name: %s
			client_advertise: "127.0.0.1:%d"
			cluster { name: harness, listen: "0.0.0.0:6222", routes: [%s] }`, name, port, routes(nodes)))
		request.Networks = []string{networkName}
		request.NetworkAliases = map[string][]string{networkName: {name}}
		return request
	}
	return r
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

func routes(nodes int) string {
	urls := make([]string, nodes)
	for i := range urls {
		urls[i] = fmt.Sprintf("%q", "nats://"+nodeName(i)+":6222")
	}
	return strings.Join(urls, ", ")
}

// startNetwork makes a network that goes away with the test, and returns its name.
func startNetwork(tb testing.TB) string {
	tb.Helper()
	cli, err := docker()
	if err != nil {
		tb.Fatal(err)
	}
	labels, err := sessionLabels()
	if err != nil {
		tb.Fatal(err)
	}
	n, err := network.New(tb.Context(), network.WithLabels(labels))
	if err != nil {
		tb.Fatalf("make a network: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		if err := removeNetwork(ctx, cli, n.ID); err != nil {
			tb.Errorf("remove the network: %v", err)
		}
	})
	return n.Name
}

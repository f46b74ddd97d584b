package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

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

// StartNATSCluster starts a cluster of a version, see [NATSOptions], and waits until it stores streams with as many replicas as it
// has nodes.
func StartNATSCluster(tb testing.TB, nodes int, version string) *NATSCluster {
	tb.Helper()
	networkName := startNetwork(tb)
	cluster := &NATSCluster{Nodes: make([]*Server, nodes)}
	var starting errgroup.Group
	for i := range nodes {
		starting.Go(func() (err error) {
			cluster.Nodes[i], err = nodeRecipe(networkName, version, i, nodes).start(tb.Context())
			return err
		})
	}
	err := starting.Wait()
	urls := cluster.own(tb)
	if err != nil {
		tb.Fatal(err)
	}
	cluster.URL = strings.Join(urls, ",")
	cluster.Await(tb)
	return cluster
}

// own ties the nodes that did start to the test, and returns their URLs.
func (c *NATSCluster) own(tb testing.TB) (urls []string) {
	for _, node := range c.Nodes {
		if node != nil {
			urls = append(urls, node.own(tb).URL)
		}
	}
	return urls
}

// Await waits until the cluster creates a stream with a replica on every node.
func (c *NATSCluster) Await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	err := poll(ctx, c.probe)
	if err != nil {
		tb.Fatalf("the NATS cluster does not work: %v", err)
	}
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

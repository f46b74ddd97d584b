package harness

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
)

// NATSOptions are the settings of [StartNATS]. The zero value is the newest server, with JetStream and no access control.
type NATSOptions struct {
	// Version is "2.15" or "2.10". Empty is "2.15".
	Version string
	// Config is added to the server's configuration file; it may define users, limits and so on, and not "port",
	// "jetstream" or "max_mem". Where it asks for credentials, User and Password must be some that it accepts.
	Config string
	// User and Password are put into the server's URL.
	User, Password string
}

// NATS returns the URL of a server with JetStream that this process shares. Tests must use streams and subjects of
// their own names, and leave the server as it is.
func NATS(tb testing.TB) string {
	tb.Helper()
	server, err := sharedNATS()
	if err != nil {
		tb.Fatal(err)
	}
	return server.URL
}

var sharedNATS = sync.OnceValues(func() (*Server, error) {
	server, err := natsRecipe(NATSOptions{}).start(context.Background())
	if err == nil {
		shared.add(server.remove)
	}
	return server, err
})

// StartNATS starts a NATS server of the test's own. Its streams survive Stop, Kill and Start.
func StartNATS(tb testing.TB, options NATSOptions) *Server {
	tb.Helper()
	server, err := natsRecipe(options).start(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return server.own(tb)
}

func natsRecipe(options NATSOptions) recipe {
	r := natsBase(options.Version)
	r.url = func(port int) string { return natsURL(options, port) }
	r.request = func(int) testcontainers.ContainerRequest {
		return natsRequest(options.Config)
	}
	return r
}

func natsBase(version string) recipe {
	return recipe{name: "nats", version: version, port: "4222/tcp", data: "/data", ping: pingJetStream}
}

func natsURL(options NATSOptions, port int) string {
	var login string
	if options.User != "" {
		login = options.User + ":" + options.Password + "@"
	}
	return fmt.Sprintf("nats://%s127.0.0.1:%d", login, port)
}

// natsRequest is a server with a configuration file, for not every setting has a flag.
func natsRequest(config string) testcontainers.ContainerRequest {
	const path = "/nats-server.conf"
	text := "port: 4222\njetstream { store_dir: /data }\n" + config + "\n"
	return testcontainers.ContainerRequest{
		Cmd:   []string{"-c", path},
		Files: []testcontainers.ContainerFile{{Reader: strings.NewReader(text), ContainerFilePath: path, FileMode: 0o644}},
	}
}

// pingJetStream asks for the account's JetStream figures, which the server gives once it has recovered its streams.
func pingJetStream(ctx context.Context, url string) error {
	return withNATS(ctx, url, func(ctx context.Context, conn *nats.Conn) error {
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		_, err = js.AccountInfo(ctx)
		return err
	})
}

// pingNATS makes a round trip to the server, whether or not its JetStream is ready.
func pingNATS(ctx context.Context, url string) error {
	return withNATS(ctx, url, func(ctx context.Context, conn *nats.Conn) error {
		return conn.FlushWithContext(ctx)
	})
}

// withNATS runs one short conversation on a connection of its own.
func withNATS(ctx context.Context, url string, talk func(context.Context, *nats.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := nats.Connect(url, nats.Timeout(2*time.Second), nats.NoReconnect())
	if err != nil {
		return err
	}
	defer conn.Close()
	return talk(ctx, conn)
}

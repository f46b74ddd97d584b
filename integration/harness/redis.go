package harness

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

// RedisOptions are the settings of [StartRedis]. The zero value is a server that writes every command to its append-only
// file before it answers, so that its data survives Kill.
type RedisOptions struct {
	// Version is "8.0", or "8.6", which has XADD IDMP. Empty is "8.0".
	Version string
	// Args are further arguments of redis-server, such as "--maxmemory", "10mb".
	Args []string
	// Plain says that Args are all of its arguments, as for a Sentinel.
	Plain bool
	// Files are put into the container before the server starts, by their absolute path, readable by everyone.
	Files map[string][]byte
	// TLS says that Args make the server's port, 6379, one for encrypted connections alone.
	TLS bool
}

// Redis returns the URL of a Redis server that this process shares, such as "redis://127.0.0.1:21345". Tests must use keys of
// their own names, and leave the server as it is.
func Redis(tb testing.TB) string {
	tb.Helper()
	server, err := sharedRedis()
	if err != nil {
		tb.Fatal(err)
	}
	return server.URL
}

var sharedRedis = sync.OnceValues(func() (*Server, error) {
	server, err := redisRecipe(RedisOptions{}).start(context.Background())
	if err == nil {
		shared.add(server.remove)
	}
	return server, err
})

// StartRedis starts a Redis server of the test's own.
func StartRedis(tb testing.TB, options RedisOptions) *Server {
	tb.Helper()
	server, err := redisRecipe(options).start(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return server.own(tb)
}

func redisRecipe(options RedisOptions) recipe {
	args := options.Args
	if !options.Plain {
		args = append([]string{"--appendonly", "yes", "--appendfsync", "always"}, options.Args...)
	}
	scheme, ping := "redis", pingRedis
	if options.TLS {
		scheme, ping = "rediss", pingTLS
	}
	return recipe{
		name:    "redis",
		version: options.Version,
		port:    "6379/tcp",
		data:    "/data",
		url:     func(port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) },
		ping:    ping,
		request: func(int) testcontainers.ContainerRequest {
			return testcontainers.ContainerRequest{
				Cmd: append([]string{"redis-server"}, args...), Files: containerFiles(options.Files),
			}
		},
	}
}

func containerFiles(contents map[string][]byte) []testcontainers.ContainerFile {
	var files []testcontainers.ContainerFile
	for path, content := range contents {
		files = append(files, testcontainers.ContainerFile{
			Reader: bytes.NewReader(content), ContainerFilePath: path, FileMode: 0o644,
		})
	}
	return files
}

// pingTLS returns nil once the server shakes hands; whether it likes us is the test's matter.
func pingTLS(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the server's certificate is a test's matter too
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

// pingRedis speaks the protocol itself: any answer but "still loading" will do, a request for a password included.
func pingRedis(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: pingTimeout}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(pingTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(answer, "-LOADING") {
		err = errors.New(strings.TrimSpace(answer))
	}
	return err
}

package harness

import (
	"bufio"
	"context"
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
	// Args are further arguments of redis-server, such as "--maxmemory", "10mb".
	Args []string
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
	args := append([]string{"--appendonly", "yes", "--appendfsync", "always"}, options.Args...)
	return recipe{
		name: "redis",
		port: "6379/tcp",
		data: "/data",
		url:  func(port int) string { return fmt.Sprintf("redis://127.0.0.1:%d", port) },
		ping: pingRedis,
		request: func(int) testcontainers.ContainerRequest {
			return testcontainers.ContainerRequest{Cmd: append([]string{"redis-server"}, args...)}
		},
	}
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

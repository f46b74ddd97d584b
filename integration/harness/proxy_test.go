package harness_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestProxyKeepsURL(t *testing.T) {
	t.Parallel()
	db := harness.EmptyPostgres(t)
	proxy := harness.StartProxy(t, db.URL)
	require.NotEqual(t, db.URL, proxy.URL)
	require.NoError(t, dialPostgres(t.Context(), proxy.URL))
	proxy.Cut()
	require.Error(t, dialPostgres(t.Context(), proxy.URL))
	proxy.Restore()
	require.NoError(t, dialPostgres(t.Context(), proxy.URL))
}

func TestProxyCut(t *testing.T) {
	t.Parallel()
	proxy := harness.StartProxy(t, echoServer(t))
	old := dialEcho(t, proxy)
	old.exchange("before")
	require.Equal(t, 1, proxy.Connections())

	proxy.Cut()
	require.Error(t, old.answers("open connections break"))
	require.Error(t, tryEcho(t, proxy), "new connections break")
	eventuallyTrue(t, func() bool { return proxy.Connections() == 0 })

	proxy.Restore()
	dialEcho(t, proxy).exchange("after")
}

func TestProxyBlackhole(t *testing.T) {
	t.Parallel()
	proxy := harness.StartProxy(t, echoServer(t))
	old := dialEcho(t, proxy)
	old.exchange("before")

	proxy.Blackhole()
	require.ErrorContains(t, old.answers("late"), "timeout")
	fresh := dialEcho(t, proxy)
	require.ErrorContains(t, fresh.answers("later"), "timeout")

	proxy.Restore()
	old.expect("late")
	fresh.expect("later")
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	const delay = 300 * time.Millisecond
	proxy := harness.StartProxy(t, echoServer(t))
	c := dialEcho(t, proxy)
	proxy.Delay(delay)
	begin := time.Now()
	c.exchange("slow")
	require.GreaterOrEqual(t, time.Since(begin), 2*delay, "once in each direction")

	proxy.Restore()
	c.exchange("first")
	begin = time.Now()
	c.exchange("fast")
	require.Less(t, time.Since(begin), 2*delay)
}

func TestProxyCutsWhatABlackholeHolds(t *testing.T) {
	t.Parallel()
	proxy := harness.StartProxy(t, echoServer(t))
	c := dialEcho(t, proxy)
	c.exchange("before")
	proxy.Blackhole()
	require.ErrorContains(t, c.answers("lost"), "timeout")
	proxy.Cut()
	eventuallyTrue(t, func() bool { return proxy.Connections() == 0 })
}

// A server's last words, such as why it refuses a login, come through before the connection closes.
func TestProxyDeliversLastWords(t *testing.T) {
	t.Parallel()
	proxy := harness.StartProxy(t, tcpServer(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "no entry\n")
	}))
	dialEcho(t, proxy).expect("no entry")
}

// echo is a client of a server that sends every line back.
type echo struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Reader
}

func dialEcho(t *testing.T, proxy *harness.Proxy) *echo {
	t.Helper()
	conn, err := net.Dial("tcp", address(proxy))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &echo{t: t, conn: conn, lines: bufio.NewReader(conn)}
}

// tryEcho returns why a new connection is of no use, or nil if it is.
func tryEcho(t *testing.T, proxy *harness.Proxy) error {
	t.Helper()
	conn, err := net.Dial("tcp", address(proxy))
	if err != nil {
		return err
	}
	defer conn.Close()
	return (&echo{t: t, conn: conn, lines: bufio.NewReader(conn)}).answers("anybody there?")
}

func address(proxy *harness.Proxy) string { return strings.TrimPrefix(proxy.URL, "tcp://") }

// exchange sends a line and expects it back.
func (e *echo) exchange(line string) {
	e.t.Helper()
	_, err := io.WriteString(e.conn, line+"\n")
	require.NoError(e.t, err)
	e.expect(line)
}

func (e *echo) expect(line string) {
	e.t.Helper()
	require.NoError(e.t, e.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	got, err := e.lines.ReadString('\n')
	require.NoError(e.t, err)
	require.Equal(e.t, line+"\n", got)
}

// answers sends a line and returns why nothing came back, or nil if something did.
func (e *echo) answers(line string) error {
	if _, err := io.WriteString(e.conn, line+"\n"); err != nil {
		return err
	}
	if err := e.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	_, err := e.lines.ReadString('\n')
	return err
}

func echoServer(t *testing.T) string {
	t.Helper()
	return tcpServer(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
}

// tcpServer serves each connection with the function, and returns its URL.
func tcpServer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return "tcp://" + listener.Addr().String()
}

func eventuallyTrue(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 5*time.Millisecond)
}

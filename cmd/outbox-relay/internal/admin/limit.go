package admin

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// maxConns is how many connections the server keeps. It is far more than the probes, scrapers and
// people of one relay need, and far less than the descriptors that a process may have.
const maxConns = 64

// limiter is a listener that keeps a number of connections. When one more comes, the one that has
// waited longest for its client is closed in its place; where each of them is being answered, the
// new one is.
//
// golang.org/x/net/netutil.LimitListener lets new ones wait instead: then 64 clients that say
// nothing keep the probes of the orchestrator waiting until the time-outs, and it restarts a relay
// that is healthy.
type limiter struct {
	net.Listener
	limit int

	mu      sync.Mutex
	waiting list.List // of *conn: those that wait for a request, the oldest first
	kept    int       // these, and those that are being answered
}

// conn is a connection that a limiter keeps.
type conn struct {
	net.Conn
	limiter *limiter
	place   *list.Element // in waiting; nil while it is being answered, and after Close
	closed  bool
}

// Accept implements [net.Listener].
func (l *limiter) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, oldest := l.keep(accepted)
		if oldest != nil {
			_ = oldest.Close() // it is given up
		}
		if c != nil {
			return c, nil
		}
		_ = accepted.Close() // as above
	}
}

// keep returns the new connection, nil if there is no room for it, and the one that gives way to
// it.
func (l *limiter) keep(accepted net.Conn) (c, oldest *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept >= l.limit {
		first := l.waiting.Front()
		if first == nil {
			return nil, nil
		}
		oldest = first.Value.(*conn)
		l.forget(oldest)
	}
	c = &conn{Conn: accepted, limiter: l}
	c.place = l.waiting.PushBack(c)
	l.kept++
	return c, oldest
}

// forget makes room for another connection. The lock is held.
func (l *limiter) forget(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	l.kept--
	if c.place != nil {
		l.waiting.Remove(c.place)
		c.place = nil
	}
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.limiter.mu.Lock()
	c.limiter.forget(c)
	c.limiter.mu.Unlock()
	return c.Conn.Close()
}

// answer says that a request of the connection is being answered, or is not any more.
func (c *conn) answer(now bool) {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.closed:
	case now && c.place != nil:
		l.waiting.Remove(c.place)
		c.place = nil
	case !now && c.place == nil:
		c.place = l.waiting.PushBack(c)
	}
}

type connKey struct{}

// remember is the ConnContext of a server behind a limiter.
func remember(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// answering lets a limiter know which connections are being answered.
func answering(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			c.answer(true)
			defer c.answer(false)
		}
		handler.ServeHTTP(w, r)
	})
}

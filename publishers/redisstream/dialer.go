package redisstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gameoutbox/relay/publishers/internal/fence"
)

// dialer opens the connections of one client and can break them. That is the only way to end a read or a write that waits
// for a server which says nothing: the client library looks at a context's deadline, not at its end.
type dialer struct {
	timeout time.Duration // for a connection
	answer  time.Duration // for an answer, which is the client's matter
	tls     TLS
	ctx     context.Context // ends with the session

	shaking atomic.Bool // the last TLS handshake was not answered, at least not yet

	mu    sync.Mutex
	conns map[*conn]struct{}
	under context.Context // of the Publish under way, nil for none
}

// conn forgets itself when it is closed.
type conn struct {
	net.Conn
	fence  *fence.Conn // below the encryption, which would hold back a part that waits
	dialer *dialer

	frames   frames
	answered bool // the server has sent something
}

// errHungUp says that a server has ended a connection before it said anything.
var errHungUp = errors.New("the server closed the connection before it answered " +
	"(does it expect encryption, redis.tls.enabled?)")

// errHandshake says that there is a server, and that it may not speak TLS.
var errHandshake = errors.New("the server did not answer the TLS handshake (does it expect encryption on this port?)")

// Read implements [net.Conn]. What would take too much memory is not handed on.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.answered = true
		if bad := c.frames.read(b[:n]); bad != nil {
			_ = c.Close() // the error that counts is this one
			return 0, &answerError{bad}
		}
	}
	if (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) && !c.answered && !c.dialer.tls.used() {
		err = fmt.Errorf("%w: %w", errHungUp, err)
	}
	return n, err
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	c.frames.begin()
	return c.Conn.Write(b)
}

// answerError says that a server's answer cannot be read.
type answerError struct{ cause error }

func (e *answerError) Error() string { return e.cause.Error() }
func (e *answerError) Unwrap() error { return e.cause }

// plainConn is a connection without encryption. The client library asks the system whether such a connection is still good before it
// uses it again.
type plainConn struct {
	*conn
	syscall.Conn
}

// dialError says that no connection was made, so that nothing was sent.
type dialError struct{ cause error }

func (e *dialError) Error() string { return e.cause.Error() }
func (e *dialError) Unwrap() error { return e.cause }

// Close closes the connection. It is no error that it was interrupted before.
func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c)
	c.dialer.mu.Unlock()
	if err := c.Conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// dial is the dialer of the client library. Its error is a [*dialError].
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	fenced := &fence.Conn{Conn: raw}
	opened, err := d.encrypt(ctx, fenced, address)
	if err != nil {
		_ = raw.Close()
		return nil, &dialError{err}
	}
	c := &conn{Conn: opened, fence: fenced, dialer: d}
	d.keep(c)
	if system, ok := raw.(syscall.Conn); ok && !d.tls.used() {
		return plainConn{c, system}, nil
	}
	return c, nil
}

func (d *dialer) encrypt(ctx context.Context, raw net.Conn, address string) (net.Conn, error) {
	if !d.tls.used() {
		return raw, nil
	}
	cfg, err := d.tls.client(address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(raw, cfg)
	d.shaking.Store(true)
	err = secure.HandshakeContext(ctx)
	if errors.Is(err, io.EOF) || isSilence(err) || errors.Is(err, syscall.ECONNRESET) {
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	d.shaking.Store(false)
	return secure, err
}

func (d *dialer) keep(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.under != nil {
		c.fence.Begin(d.under)
	}
	if d.conns == nil {
		d.conns = map[*conn]struct{}{}
	}
	d.conns[c] = struct{}{}
}

// begin says that a Publish with this context is under way: from now on every connection may have bytes of it.
func (d *dialer) begin(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.under = ctx
	for c := range d.conns {
		c.fence.Begin(ctx)
	}
}

// end says that it has returned. The client library writes in no goroutine of its own, so nothing of it is left in a buffer.
func (d *dialer) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.under = nil
	for c := range d.conns {
		c.fence.End()
	}
}

// interrupt breaks every connection. The client then connects anew.
func (d *dialer) interrupt() {
	d.mu.Lock()
	conns := d.conns
	d.conns = nil
	d.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

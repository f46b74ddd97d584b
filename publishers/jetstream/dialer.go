package jetstream

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/gameoutbox/relay/publishers/internal/fence"
)

// dialer opens the connections of one client and can break the current one. That is the only way to end a write that a server
// does not read: the client holds its lock while it writes.
type dialer struct {
	timeout time.Duration
	answers answerSpace

	mu    sync.Mutex
	conn  *fence.Conn     // nil before the first
	under context.Context // of the Publish under way, nil for none
	err   error           // of the last attempt
}

// Dial implements [nats.CustomDialer].
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{Timeout: d.timeout}).Dial(network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err = err; err != nil {
		return nil, err
	}
	d.conn = &fence.Conn{Conn: raw}
	if d.under != nil {
		d.conn.Begin(d.under)
	}
	d.answers.unread.Store(0)
	return &bounded{Conn: d.conn, answerSpace: &d.answers}, nil
}

// begin says that a Publish with this context is under way. A connection that may still have bytes of an earlier one in its buffer
// which came too late is closed.
func (d *dialer) begin(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.under = ctx
	if d.conn.Shut() {
		_ = d.conn.Close() // the client notices
		return
	}
	d.conn.Begin(ctx)
}

// end says that it has returned. Unless it is known that everything was sent, the client may still have bytes of it in its buffer.
func (d *dialer) end(sent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.under = nil
	switch {
	case sent:
		d.conn.End()
	case d.conn.Shut():
		_ = d.conn.Close()
	}
}

// lastError returns why the last attempt failed to connect, or nil.
func (d *dialer) lastError() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// interrupt ends a write that is under way. The client then connects anew. Without such a write nothing happens.
func (d *dialer) interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.SetWriteDeadline(time.Unix(1, 0)) // fails only on a closed connection, which needs no interruption
	}
}

// close breaks the connection.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close()
	}
}

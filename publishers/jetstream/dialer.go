package jetstream

import (
	"net"
	"sync"
	"time"
)

// dialer opens the connections of one client and can break the current one. That is the only way to end a write that a server
// does not read: the client holds its lock while it writes.
type dialer struct {
	timeout time.Duration

	mu   sync.Mutex
	conn net.Conn
	err  error // of the last attempt
}

// Dial implements [nats.CustomDialer].
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.timeout}).Dial(network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn, d.err = conn, err
	return conn, err
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

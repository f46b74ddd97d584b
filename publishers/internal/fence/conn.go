// Package fence keeps the bytes of a Publish inside the process once they may not be sent any more.
package fence

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/gameoutbox/relay/relay"
)

// errShut is the error of a write that came too late.
var errShut = errors.New("the relay does not lead any more: nothing is sent")

// Conn is a connection that holds bytes of one Publish at most. Client libraries write what they have in their buffers whenever they get
// to it, also in goroutines of their own, and a process that was paused may get to it much later than it thinks.
type Conn struct {
	net.Conn
	under atomic.Pointer[context.Context] // of the Publish whose bytes may be written; nil for none
}

// Begin says that bytes of a Publish with this context may be written from now on.
func (c *Conn) Begin(ctx context.Context) { c.under.Store(&ctx) }

// End says that no such bytes are left in any buffer.
func (c *Conn) End() { c.under.Store(nil) }

// Shut reports whether bytes may be left in a buffer that must not be written.
func (c *Conn) Shut() bool {
	ctx := c.under.Load()
	return ctx != nil && !relay.MaySend(*ctx)
}

// Write implements [net.Conn]. If it comes too late, it writes nothing and closes the connection, so that whatever comes later is lost
// too.
func (c *Conn) Write(b []byte) (int, error) {
	if c.Shut() {
		_ = c.Close() // the error that counts is this one
		return 0, errShut
	}
	n, err := c.write(b)
	if errors.Is(err, errShut) {
		_ = c.Close() // as above
	}
	return n, err
}

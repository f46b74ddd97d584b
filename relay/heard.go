package relay

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// heard is what a connection has heard of late: how many notifications came, and which process of
// the server sent the last. Their payloads are not kept: anybody may notify, and the server hands
// over what waits, which may be gigabytes, before it answers a statement.
type heard struct {
	count   int
	process uint32
}

// add notes others that came later.
func (h *heard) add(later heard) {
	h.count += later.count
	if later.count > 0 {
		h.process = later.process
	}
}

// heardKey is where a connection of [NewPool] remembers what it has heard.
const heardKey = "outbox-relay heard"

// hear is the handler of connections of [NewPool].
func hear(conn *pgconn.PgConn, n *pgconn.Notification) {
	h, ok := conn.CustomData()[heardKey].(*heard)
	if !ok {
		h = &heard{}
		conn.CustomData()[heardKey] = h
	}
	h.add(heard{count: 1, process: n.PID})
}

// takeHeard returns what a connection has heard since it was last asked, without waiting.
func takeHeard(conn *pgx.Conn) heard {
	var all heard
	over, cancel := context.WithCancel(context.Background())
	cancel() // nothing is waited for
	for {    // what the driver keeps: on a connection of another pool
		n, err := conn.WaitForNotification(over)
		if err != nil {
			break
		}
		all.add(heard{count: 1, process: n.PID})
	}
	if h, ok := conn.PgConn().CustomData()[heardKey].(*heard); ok {
		all.add(*h)
		*h = heard{}
	}
	return all
}

// waitHeard waits until a connection has heard something, and returns what that is.
func waitHeard(ctx context.Context, conn *pgx.Conn) (heard, error) {
	all := takeHeard(conn)
	if all.count > 0 {
		return all, nil
	}
	n, err := conn.WaitForNotification(ctx)
	if n != nil { // on a connection of another pool
		all.add(heard{count: 1, process: n.PID})
	}
	all.add(takeHeard(conn))
	if all.count > 0 {
		return all, nil
	}
	return all, err
}

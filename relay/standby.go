package relay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/time/rate"
)

const (
	// standbyInterval is after how long at most a standby asks again whether it can lead; half of it at least.
	standbyInterval = time.Second
	// expiryJitter is within how long after the expiry of a lease its standbys ask for it.
	expiryJitter = 100 * time.Millisecond
	// leaseWakes and leaseBurst are how many notifications a second, and at once, wake a standby.
	leaseWakes = 5
	leaseBurst = 5
)

// standBy returns the term of the lease when this relay has it. Meanwhile it uses no other connection than this one.
func (r *Relay) standBy(ctx context.Context, conn *pgxpool.Conn) (term int64, err error) {
	if err := Check(ctx, conn, r.version); err != nil {
		return 0, err
	}
	listening, looked := false, time.Now()
	wakes := rate.NewLimiter(leaseWakes, leaseBurst)
	for {
		l, err := r.tenancy.take(ctx, conn)
		switch {
		case err != nil:
			return 0, err
		case l.Held && listening:
			_, _ = conn.Exec(ctx, "unlisten "+leaseChannel) // if it fails the connection is of no use, which the next statement finds out
			return l.Term, nil
		case l.Held:
			return l.Term, nil
		}
		r.track.standsBy()
		if time.Since(looked) > hiddenInterval {
			if err := checkHidden(ctx, Pin(conn)); isHidden(err) {
				return 0, err
			}
			looked = time.Now()
		}
		if !listening && l.process == conn.Conn().PgConn().PID() { // no pooler in between
			if _, err := conn.Exec(ctx, "listen "+leaseChannel); err != nil {
				return 0, fmt.Errorf("listen: %w", err)
			}
			listening = true
			continue // it may have been given back before
		}
		if err := r.bid(ctx, conn, l); err != nil {
			return 0, fmt.Errorf("ask another relay for the lease: %w", err)
		}
		flooding, err := awaitLease(ctx, conn, l, listening, wakes)
		if err != nil {
			return 0, err
		}
		if flooding != 0 {
			r.track.flooded(leaseFlood, describeProcess(ctx, conn, flooding))
			if !pause(ctx, wakes.Reserve().Delay()) {
				return 0, context.Cause(ctx)
			}
		}
	}
}

// describeProcess names the session of a process of the server for an operator.
func describeProcess(ctx context.Context, db Queryer, process uint32) string {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := Pin(db).Query(ctx, sessionOfSQL, int32(process))
	if err != nil {
		return fmt.Sprintf("process %d", process)
	}
	var role, application string
	if _, err := pgx.ForEachRow(rows, []any{&role, &application}, func() error { return nil }); err != nil || role == "" {
		return fmt.Sprintf("process %d, which has ended", process)
	}
	return nameSession(int64(process), role, application)
}

// nameSession names a session of the server for an operator.
func nameSession(process int64, role, application string) string {
	return fmt.Sprintf("process %d of role %q, application %q", process, role, application)
}

// awaitLease waits until it is time to ask for the lease again: when its owner gives it back, when
// it expires, and now and then. Many relays that wait do not ask at the same moment. Anybody may
// notify: if that comes more often than wakes allows, the process is returned that did it last.
func awaitLease(ctx context.Context, conn *pgxpool.Conn, l Lease, listening bool, wakes *rate.Limiter) (flooding uint32, err error) {
	wait := standbyInterval/2 + rand.N(standbyInterval/2) //nolint:gosec // no secret
	if left := l.Until.Sub(l.now); left > 0 && left < wait {
		wait = left + rand.N(expiryJitter) //nolint:gosec // as above
	}
	if !listening {
		if !pause(ctx, wait) {
			return 0, context.Cause(ctx)
		}
		return 0, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	notified, err := waitHeard(waiting, conn.Conn()) // one look is enough for all that have come
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil && waiting.Err() == nil:
		return 0, fmt.Errorf("wait for the lease: %w", err)
	case err != nil:
		return 0, nil
	}
	if notified.count > leaseBurst || !wakes.Allow() {
		return notified.process, nil
	}
	return 0, nil
}

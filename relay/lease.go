package relay

import (
	"context"
	"crypto/rand"
	_ "embed" // the statements are files
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	//go:embed sql/lease.sql
	leaseSQL string
	//go:embed sql/lease_take.sql
	leaseTakeSQL string
	//go:embed sql/lease_renew.sql
	leaseRenewSQL string
	//go:embed sql/session_of.sql
	sessionOfSQL string
	//go:embed sql/lease_free.sql
	leaseFreeSQL string
)

const (
	// renewShare says how often a lease is renewed, in parts of it. A renewal that failed is tried again a quarter of that later.
	renewShare = 5
	// patienceShare bounds one renewal, in parts of the lease. A database that has too much to do answers late, and has more to do for each
	// connection that is given up; but one whose network has swallowed it must be given up while there is time to renew on another.
	patienceShare = 2
	// anyTerm stands for whatever lease this relay may have taken.
	anyTerm = 0
	// freeTimeout bounds the giving back of a lease at a stop. One that is not given back expires.
	freeTimeout = time.Second
	// leaseChannel is where the one who gives a lease back notifies, see sql/lease_free.sql.
	leaseChannel = "outbox_lease"
)

// Lease says who leads an outbox, by its row outbox.lease.
type Lease struct {
	// Owner is the relay that has the lease, or had it last until it expired; empty if the lease was given back or never taken.
	Owner string `json:"owner"`
	// Term counts how often the lease was taken.
	Term int64 `json:"term"`
	// Since is when it was taken, or given back where Owner is empty, and Until when it expires unless it is renewed; both by the
	// database's clock.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Held says that a relay led when this was read.
	Held bool `json:"held"`

	ttl     time.Duration
	now     time.Time // the database's clock when this was read
	process uint32    // the server's process that answered
}

// ReadLease asks who leads the outbox of a database, a pool or a connection.
func ReadLease(ctx context.Context, db Queryer) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return queryLease(ctx, Pin(db), leaseSQL)
}

// HasLeader reports whether a relay leads the outbox of a database now, wherever it runs. The database is a pool or a connection.
func HasLeader(ctx context.Context, db Queryer) (bool, error) {
	l, err := ReadLease(ctx, db)
	return l.Held, err
}

func queryLease(ctx context.Context, db Queryer, sql string, args ...any) (Lease, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return Lease{}, err
	}
	l, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (l Lease, err error) {
		err = row.Scan(&l.Owner, &l.Term, &l.ttl, &l.Since, &l.Until, &l.Held, &l.now, &l.process)
		l.Since, l.Until = l.Since.UTC(), l.Until.UTC()
		return l, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return l, errors.New("outbox.lease has lost its row; run: insert into outbox.lease default values")
	}
	return l, err
}

// newOwner returns the name under which a process takes leases: readable, and of no other process.
func newOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}

// tenancy is the lease as one relay sees it: it waits for it, keeps it, and gives it back. Its fence says until when the relay may
// publish.
type tenancy struct {
	owner string
	ttl   time.Duration
	pool  *pgxpool.Pool
	track *tracker
	fence fence

	seen   Lease         // as it was found last
	seenAt time.Duration // by sinceBoot, when it was first found so
}

// take asks for the lease once, and returns who leads then. Held says that it is this relay. If ctx ends meanwhile, a lease that was taken
// is given back.
func (t *tenancy) take(ctx context.Context, conn *pgxpool.Conn) (Lease, error) {
	// A stop waits a moment for the answer: a statement that is given up may still take the lease,
	// after it was given back.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.ttl)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(freeTimeout, cancel) })()
	asked := sinceBoot()
	// A lease that nobody renews for as long as it grants is over, whatever the database's clock says.
	var overTerm int64
	var overUntil time.Time
	if t.seen.ttl > 0 && asked-t.seenAt > t.seen.ttl {
		overTerm, overUntil = t.seen.Term, t.seen.Until
	}
	l, err := queryLease(asking, Pin(conn), leaseTakeSQL, t.owner, t.ttl, overTerm, overUntil)
	if ctx.Err() != nil && (err != nil || l.Held) {
		t.free(context.WithoutCancel(ctx), anyTerm)
		return l, fmt.Errorf("ask for the lease: %w", ctx.Err())
	}
	if err != nil {
		return l, fmt.Errorf("ask for the lease: %w", err)
	}
	if l.Held {
		t.fence.move(asked, t.ttl)
	}
	if l.Term != t.seen.Term || !l.Until.Equal(t.seen.Until) {
		t.seenAt = sinceBoot()
	}
	t.seen = l
	t.track.leaseSeen(l, l.Held)
	return l, nil
}

// keep renews the lease of a term until ctx ends, and calls renewed with the connection after each time. If it lapses, because the database
// does not answer in time, nothing is published behind the fence, and keep goes on: until another relay takes the lease, what
// this one has in memory stays true. Once another has, keep shuts the fence, calls lose and returns. It works on conn as long as that one
// lives, and keeps one connection at most.
func (t *tenancy) keep(ctx context.Context, conn *pgxpool.Conn, term int64, alive *progress, renewed func(*pgxpool.Conn), lose func(error)) {
	defer func() {
		if conn != nil {
			conn.Release()
		}
		alive.idle()
	}()
	for wait := t.untilRenewal(); pause(ctx, wait); {
		alive.work(2 * t.ttl) // a renewal takes half of that at most, and so does what follows it
		lapse := time.AfterFunc(t.fence.left(), func() { t.track.leaseLapsed(&t.fence) })
		var err error
		conn, err = t.renew(ctx, conn, term)
		lapse.Stop()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrLeaseLost):
			t.fence.shut()
			lose(err)
			return
		case err != nil:
			t.track.databaseFailed(leading, fmt.Errorf("renew the lease: %w", err))
			wait = t.ttl / renewShare / 4
		default:
			t.track.databaseWorks(leading)
			renewed(conn)
			wait = t.untilRenewal()
		}
	}
}

// untilRenewal returns the pause before the next renewal: shorter where the last answer was slow.
func (t *tenancy) untilRenewal() time.Duration { return min(t.ttl/renewShare, t.fence.left()/2) }

// errTaken says that the row names another relay, or another term.
var errTaken = fmt.Errorf("%w: another relay has taken the lease", ErrLeaseLost)

// renew renews the lease once. A connection that fails is given up; the returned one is nil then.
func (t *tenancy) renew(ctx context.Context, conn *pgxpool.Conn, term int64) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.ttl/patienceShare)
	defer cancel()
	if conn == nil {
		var err error
		if conn, err = t.pool.Acquire(ctx); err != nil {
			return nil, err
		}
	}
	asked := sinceBoot()
	until, err := queryOne[time.Time](ctx, Pin(conn), leaseRenewSQL, t.owner, term, t.ttl)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return conn, errTaken
	case err != nil:
		_ = conn.Conn().Close(ctx) // it may hang
		conn.Release()
		return nil, err
	}
	t.fence.move(asked, t.ttl)
	t.track.leaseRenewed(until)
	return conn, nil // in time, for patience ends before the fence
}

// free gives the lease of a term back, so that another relay takes it at once. Nothing may be in flight any more.
func (t *tenancy) free(ctx context.Context, term int64) {
	t.fence.shut()
	ctx, cancel := context.WithTimeout(ctx, freeTimeout)
	defer cancel()
	if _, err := Pin(t.pool).Exec(ctx, leaseFreeSQL, t.owner, term); err != nil {
		t.track.leaseNotFreed(t.ttl, err)
	}
}

package relay

import (
	"context"
	_ "embed" // the statements are files
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	//go:embed sql/share_bid.sql
	shareBidSQL string
	//go:embed sql/share_offer.sql
	shareOfferSQL string
	//go:embed sql/lease_give.sql
	leaseGiveSQL string
)

const (
	// fairDifference is how many sources more a process leads than another one that asks for one of them. With less, sources would go
	// to and fro.
	fairDifference = 2
	// bidLife is for how long at least who asks for a lease is heard, see Config.bidLife.
	bidLife = 3 * time.Second
	// bidSpacing is the least time between two questions of a process whether it could ask for something.
	bidSpacing = 100 * time.Millisecond
	// giftLife is for how long a lease is kept for the relay that it was given to.
	giftLife = 2 * time.Second
	// warmUp is for how long a process takes nothing more while it is not known whether what it took last can be published.
	warmUp = 5 * time.Second
)

// bidLife is for how long who asks for a lease is heard: longer than the owner takes from one renewal to the next, and than the bidder from
// one bid to the next.
func (c Config) bidLife() time.Duration { return max(bidLife, 2*c.Lease/renewShare) }

// Share shares sources out between processes that each have a [Relay] for every one of them: see doc.go. One Share is given to all the
// relays of a process.
type Share struct {
	mu      sync.Mutex
	leads   map[*Relay]time.Time // since when
	giving  *Relay               // the one whose lease is being given away; nil for none
	bidder  *Relay               // the one that asks for a lease; nil for none
	bidOver time.Time            // when it has asked in vain
	nextBid time.Time
}

// NewShare returns a Share for the relays of one process.
func NewShare() *Share { return &Share{leads: make(map[*Relay]time.Time)} }

// began notes that a relay leads.
func (s *Share) began(r *Relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leads[r] = time.Now()
	if s.bidder == r {
		s.bidder = nil
	}
}

// ended notes that a relay does not lead any more.
func (s *Share) ended(r *Relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leads, r)
	if s.giving == r {
		s.giving = nil
	}
}

// load returns how many sources the process leads, without the one that it is about to give away. It needs the lock.
func (s *Share) load() int {
	if s.giving != nil {
		return len(s.leads) - 1
	}
	return len(s.leads)
}

// told returns the load for the leader's row.
func (s *Share) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load()
}

// give reports whether a relay is to give its lease to another one whose process has a load. One lease is given at a time.
func (s *Share) give(r *Relay, theirs int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.giving != nil || s.load()-theirs < fairDifference {
		return false
	}
	s.giving = r
	return true
}

// wantMore reports whether a relay that stands by may ask for the lease now, and with which load. One relay asks at a time, until it
// leads or has asked in vain for bidLife: so a process gets one source after the other, and never more than it asked for.
func (s *Share) wantMore(r *Relay) (load int, may bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.bidder != nil && now.After(s.bidOver) {
		s.bidder = nil
	}
	switch {
	case s.bidder == r:
		return s.load(), true
	case s.bidder != nil || now.Before(s.nextBid) || !s.fit(now):
		return 0, false
	}
	s.nextBid, s.bidder, s.bidOver = now.Add(bidSpacing), r, now.Add(r.cfg.bidLife())
	return s.load(), true
}

// wantNot notes that there was nothing to ask for.
func (s *Share) wantNot(r *Relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bidder == r {
		s.bidder = nil
	}
}

// fit reports whether the process should lead more: not if none of what it leads can be published, which may be its own fault, nor as long as
// that is not known of what it took last. It needs the lock.
func (s *Share) fit(now time.Time) bool {
	ready := len(s.leads) == 0
	for r, since := range s.leads {
		status := r.Status()
		if status.Broker.State == BrokerUnknown && now.Sub(since) < warmUp {
			return false
		}
		ready = ready || status.Ready
	}
	return ready
}

// bid asks for the lease of another relay, if that one leads more sources than this process, and if nothing else is asked for.
func (r *Relay) bid(ctx context.Context, conn *pgxpool.Conn, l Lease) error {
	if r.share == nil || l.Owner == "" {
		return nil
	}
	load, may := r.share.wantMore(r)
	if !may {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := queryOne[int](ctx, Pin(conn), shareBidSQL, r.tenancy.owner, l.Term, load, r.cfg.bidLife())
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
		r.share.wantNot(r)
	}
	return err
}

// offer tells how many sources the process leads, and returns the relay that this one should give its lease to; empty for none.
func (r *Relay) offer(ctx context.Context, conn *pgxpool.Conn, term int64) (successor string, err error) {
	if r.share == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Lease/patienceShare)
	defer cancel()
	rows, err := Pin(conn).Query(ctx, shareOfferSQL, term, r.share.told(), r.cfg.bidLife())
	if err != nil {
		return "", err
	}
	theirs, found := 0, false
	_, err = pgx.ForEachRow(rows, []any{&successor, &theirs}, func() error {
		found = true
		return nil
	})
	if err != nil || !found || successor == r.tenancy.owner || !r.share.give(r, theirs) {
		return "", err
	}
	return successor, nil
}

// errGiven ends a session whose lease is given to another relay.
var errGiven = errors.New("the lease goes to a relay that leads fewer sources")

// give gives the lease of a term to another relay. Nothing may be in flight any more.
func (t *tenancy) give(ctx context.Context, term int64, successor string) {
	t.fence.shut()
	ctx, cancel := context.WithTimeout(ctx, freeTimeout)
	defer cancel()
	if _, err := Pin(t.pool).Exec(ctx, leaseGiveSQL, t.owner, term, successor, giftLife); err != nil {
		t.track.leaseNotFreed(t.ttl, err)
		return
	}
	t.track.leaseGiven(successor)
}

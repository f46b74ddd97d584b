package relay

import (
	"context"
	_ "embed" // the statements are files
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/bell_check.sql
	bellCheckSQL string
	//go:embed sql/bell_evict.sql
	bellEvictSQL string
)

const (
	// bellKey is the lock that tells writers whether the relay sleeps, and bellChannel is where they wake it: see
	// migrations/sql/00010_doorbell.sql.
	bellKey     int64 = 0x6f757462656c6c
	bellChannel       = "outbox_events"

	// bellPatience is for how long the relay sleeps at most: a net under the doorbell, and a proof that the session lives.
	bellPatience = pingInterval
	// bellRecheck is after how long a doorbell that did not work is looked at again.
	bellRecheck = time.Minute
	// bellHung is for how long the lock may be another session's alone before that one is taken to hang.
	bellHung = 10 * time.Second
	// bellRest is for how long the reader does not sleep after it was woken too often.
	bellRest = 5 * time.Second
	// handPatience is for how long the reader waits for the publish loop and still wants to be woken.
	handPatience = 20 * time.Millisecond
	// landingPause is how often a reader that sleeps looks whether what it handed out is settled. That asks no server.
	landingPause = 50 * time.Millisecond
)

// bell is the doorbell as the reader has it. The reader sleeps by holding a lock for itself that writers share otherwise; a writer that
// does not get its share notifies at its commit. It is tried for and never waited for, on both sides, and it is given back as soon as events
// come faster than it is worth a notification each. Where it cannot work the reader polls. See "Waking up" in doc.go.
type bell struct {
	conn  *pgx.Conn // the reader's own session, which holds the lock
	db    *database // works under the lease
	cfg   Config
	track *tracker

	works    bool          // writers can wake this session
	checked  time.Time     // when it was last found out
	held     bool          // the lock is this session's: every commit of an event from then on notifies
	refused  time.Time     // since when the lock could not be had; zero if it could
	silent   bool          // the last sleep ended by itself
	rings    pace          // notifications
	slept    time.Duration // since the last one
	restless time.Time     // until when the reader does not try to sleep
}

func (r *Relay) newBell(conn *pgx.Conn) *bell {
	return &bell{conn: conn, db: r.db, cfg: r.cfg, track: r.track}
}

// again reports whether to look again at once after a look that found last: after one that was cut short, after a find
// unless what comes next rings, and after the one look that found nothing and after which the reader may sleep, for what
// was committed before it had the lock.
func (b *bell) again(ctx context.Context, read *reader, last batch) (bool, error) {
	switch {
	case read.gaps.cut():
		return true, nil
	case len(last.events) == 0:
		return b.ask(ctx)
	}
	if b.silent {
		if err := b.doubt(ctx); err != nil {
			return false, err
		}
	}
	return !b.held || read.behind, nil
}

// ask tries for the lock after a look that found nothing, and reports whether the reader has it now and had it not before.
func (b *bell) ask(ctx context.Context) (got bool, err error) {
	now := time.Now()
	if b.held || now.Before(b.restless) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if works, err := b.check(ctx, now); err != nil || !works {
		return false, err
	}
	if err := b.conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", bellKey).Scan(&b.held); err != nil {
		return false, fmt.Errorf("ask for the doorbell: %w", err)
	}
	switch {
	case b.held:
		b.refused, b.rings = time.Time{}, pace{}
	case b.refused.IsZero():
		b.refused = now
	case now.Sub(b.refused) > bellHung:
		b.refused = now
		return false, b.evict(ctx)
	}
	return b.held, nil
}

// check reports whether writers can wake this session, and lets them if they can.
func (b *bell) check(ctx context.Context, now time.Time) (bool, error) {
	if b.works || now.Sub(b.checked) < bellRecheck {
		return b.works, nil
	}
	b.checked = now
	why, err := queryOne[*string](ctx, Pin(b.conn), bellCheckSQL, int64(b.conn.PgConn().PID()))
	if err != nil {
		return false, fmt.Errorf("look at the doorbell: %w", err)
	}
	if why != nil {
		b.track.polls(*why, b.cfg.PollInterval)
		return false, nil
	}
	if _, err := b.conn.Exec(ctx, "listen "+bellChannel); err != nil {
		return false, fmt.Errorf("listen for events: %w", err)
	}
	b.works = true
	b.track.wakes()
	return true, nil
}

// evict ends a former leader that hangs and holds the lock. A relay that has lost the lease ends nobody: the statement is refused, and
// its session is over. Any other error leaves things as they are, and the reader polls.
func (b *bell) evict(ctx context.Context) error {
	ended, err := queryOne[int64](ctx, b.db, bellEvictSQL, bellKey, int64(b.conn.PgConn().PID()))
	if errors.Is(err, errAgain) {
		return err
	}
	b.track.evicted(ended)
	return nil
}

// heard forgets the notifications that have come, before a look: it sees what they speak of. If they come too fast it gives the lock back
// for a while.
func (b *bell) heard(ctx context.Context) error {
	if !b.works {
		return nil
	}
	over, cancel := context.WithCancel(ctx)
	cancel() // so that nothing is waited for
	for {
		if _, err := b.conn.WaitForNotification(over); err != nil {
			break
		}
		b.rang()
	}
	if !b.held || !b.rings.many() {
		return nil
	}
	b.restless = time.Now().Add(bellRest)
	return b.giveBack(ctx)
}

func (b *bell) rang() {
	b.silent = false
	b.rings.add(b.slept)
	b.slept = 0
}

// doubt gives the doorbell up for a while: an event came that nobody had announced. It may just have been about to be.
func (b *bell) doubt(ctx context.Context) error {
	b.works, b.checked, b.silent = false, time.Now(), false
	b.track.polls("an event came without a notification", b.cfg.PollInterval)
	return b.giveBack(ctx)
}

// giveBack lets writers be quiet again, if the lock is held.
func (b *bell) giveBack(ctx context.Context) error {
	if !b.held {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	b.held = false
	if _, err := b.conn.Exec(ctx, "select pg_advisory_unlock($1)", bellKey); err != nil {
		return fmt.Errorf("give the doorbell back: %w", err)
	}
	return nil
}

// wait returns when it is time for the next look: when an event was committed, or after a while. That is quiet unless the reader sleeps, and
// also while gaps are open: those of transactions that roll back close without a notification.
func (b *bell) wait(ctx context.Context, read *reader, quiet time.Duration) error {
	b.silent = false
	switch {
	case !b.held:
		if !pause(ctx, quiet) {
			return context.Cause(ctx)
		}
		return nil
	case read.gaps.any():
		_, err := b.listen(ctx, quiet)
		return err
	}
	for until := time.Now().Add(min(bellPatience, b.cfg.SweepInterval)); time.Now().Before(until); read.forgetLanded() {
		left := time.Until(until)
		if !read.landed.Load() {
			left = min(left, landingPause)
		}
		if rung, err := b.listen(ctx, left); rung || err != nil {
			return err
		}
	}
	b.silent = true
	return nil
}

// listen waits for a notification.
func (b *bell) listen(ctx context.Context, most time.Duration) (rung bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	began := time.Now()
	_, err = b.conn.WaitForNotification(waiting)
	b.slept += time.Since(began)
	switch {
	case err == nil:
		b.rang()
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case waiting.Err() != nil:
		return false, nil
	}
	return false, fmt.Errorf("wait for the doorbell: %w", err)
}

const (
	// paceRate and paceBurst say what is fast: more than paceBurst, but for paceRate in each second of sleep between them. Notifying costs
	// a commit about as much again, and all of the server that notify commit one after the other. Only sleep counts, for many at once
	// throttle each other to about this rate; but a reader that does not come to sleep needs nobody to wake it.
	paceRate  = 1000
	paceBurst = 24
)

// pace is a bucket that leaks while the reader sleeps: it tells whether notifications come fast.
type pace struct{ level float64 }

// add counts one that came after some sleep since the one before.
func (p *pace) add(slept time.Duration) { p.level = max(0, p.level-slept.Seconds()*paceRate) + 1 }

// many reports whether more have come of late than is slow.
func (p *pace) many() bool { return p.level > paceBurst }

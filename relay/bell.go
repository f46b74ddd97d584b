package relay

import (
	"context"
	_ "embed" // the statements are files
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/bell_check.sql
	bellCheckSQL string
	//go:embed sql/bell_sleep.sql
	bellSleepSQL string
	//go:embed sql/bell_wake.sql
	bellWakeSQL string
	//go:embed sql/bell_early.sql
	bellEarlySQL string
)

const (
	// bellChannel is where writers wake the relay, see migrations/sql/00014_hardening.sql.
	bellChannel = "outbox_events"

	// bellPatience is for how long the relay sleeps at most: a net under the doorbell, and a proof that the session lives.
	bellPatience = pingInterval
	// bellRecheck is after how long a doorbell that did not work is looked at again.
	bellRecheck = time.Minute
	// earlyLimit is after how long an operator is told of a transaction that keeps the relay from sleeping.
	earlyLimit = 10 * time.Second
	// bellRest is for how long the reader does not sleep after it was woken too often.
	bellRest = 5 * time.Second
	// handPatience is for how long the reader waits for the publish loop and still wants to be woken.
	handPatience = 20 * time.Millisecond
	// landingPause is how often a reader that sleeps looks whether what it handed out is settled. That asks no server.
	landingPause = 50 * time.Millisecond
)

// bell is the doorbell as the reader has it. The reader that sleeps has put its process into the
// sequence outbox.waker, which each writer reads: one that finds it there notifies at its commit.
// Neither waits for the other. The reader takes it back as soon as events come faster than it is
// worth a notification each. Where it cannot work the reader polls. See "Waking up" in doc.go.
type bell struct {
	conn  *pgx.Conn // the reader's own session
	term  int64     // of the lease
	cfg   Config
	track *tracker

	works    bool          // writers can wake this session
	checked  time.Time     // when it was last found out
	held     bool          // whoever writes an event from now on notifies at the commit
	early    []earlyWriter // those that may have written one before, and have not ended
	since    time.Time     // since when the reader is held
	silent   bool          // the last sleep ended by itself
	rings    pace          // notifications
	slept    time.Duration // since the last one
	restless time.Time     // until when the reader does not try to sleep
	idle     excess        // notifications without an event
	ringer   uint32        // the process that sent the last notification
}

// earlyWriter is a transaction that does not notify.
type earlyWriter struct {
	VXID        string // as pg_locks names it
	Process     int32  // 0 for a prepared transaction
	Role        string
	Application string
}

// String names the session for an operator.
func (w earlyWriter) String() string {
	return nameSession(int64(w.Process), w.Role, w.Application)
}

func (r *Relay) newBell(conn *pgx.Conn, term int64) *bell {
	return &bell{conn: conn, term: term, cfg: r.cfg, track: r.track}
}

// again reports whether to look again at once after a look that found last: after one that was cut
// short, after a find unless what comes next rings, and after the one look that found nothing and
// after which the reader may sleep, for what was committed before writers notified.
func (b *bell) again(ctx context.Context, read *reader, last batch) (bool, error) {
	b.idle.pay(len(last.events))
	switch {
	case len(last.events) == 0 && b.idle.many():
		return false, b.ignore(ctx)
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

// ask lets writers notify after a look that found nothing, and reports whether another look is due:
// since then, or since the last of those that do not notify has ended. Each of these holds the lock
// on the sequence of ids from before it has read outbox.waker until after its commit is visible. So
// who is not listed after the waker was set has committed, or reads it and notifies.
func (b *bell) ask(ctx context.Context) (again bool, err error) {
	now := time.Now()
	if b.held && len(b.early) == 0 || now.Before(b.restless) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if works, err := b.check(ctx, now); err != nil || !works {
		return false, err
	}
	var listed []string // all of them
	if !b.held {
		b.held, err = queryOne[bool](ctx, Pin(b.conn), bellSleepSQL, int64(b.conn.PgConn().PID()), b.term)
		if err != nil {
			return false, fmt.Errorf("fall asleep: %w", err)
		}
		if !b.held {
			return false, nil
		}
		b.since, b.rings = now, pace{}
	} else {
		for _, w := range b.early {
			listed = append(listed, w.VXID)
		}
	}
	rows, err := Pin(b.conn).Query(ctx, bellEarlySQL, listed)
	if err == nil {
		b.early, err = pgx.CollectRows(rows, pgx.RowToStructByPos[earlyWriter])
	}
	if err != nil {
		return false, fmt.Errorf("list the open transactions: %w", err)
	}
	if len(b.early) > 0 && now.Sub(b.since) > earlyLimit {
		b.track.keptAwake(b.early[0].String())
	} else {
		b.track.keptAwake("")
	}
	return listed == nil || len(b.early) == 0, nil
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

// heard forgets the notifications that have come, before a look: it sees what they speak of. If
// they come too fast it does without for a while.
func (b *bell) heard(ctx context.Context) error {
	if !b.works {
		return nil
	}
	b.rang(takeHeard(b.conn))
	if !b.held || !b.rings.many() {
		return nil
	}
	b.restless = time.Now().Add(bellRest)
	return b.giveBack(ctx)
}

// rang counts notifications.
func (b *bell) rang(h heard) {
	if h.count == 0 {
		return
	}
	b.silent = false
	b.rings.add(b.slept, h.count)
	b.idle.add(time.Now(), h.count)
	b.slept, b.ringer = 0, h.process
}

// ignore gives the doorbell up for a while: notifications come without events. Each costs a look,
// and anybody may send them. Writers, who notify because the reader sleeps, are quiet then, and
// the server does not even hand over what others send.
func (b *bell) ignore(ctx context.Context) error {
	b.track.flooded(eventFlood, describeProcess(ctx, b.conn, b.ringer))
	b.track.polls("notifications come without events", b.cfg.PollInterval)
	b.works, b.checked, b.idle = false, time.Now(), excess{}
	unlisten, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if _, err := b.conn.Exec(unlisten, "unlisten "+bellChannel); err != nil {
		return fmt.Errorf("stop listening for events: %w", err)
	}
	return b.giveBack(ctx)
}

// doubt gives the doorbell up for a while: an event came that nobody had announced. It may just have been about to be.
func (b *bell) doubt(ctx context.Context) error {
	b.works, b.checked, b.silent = false, time.Now(), false
	b.track.polls("an event came without a notification", b.cfg.PollInterval)
	return b.giveBack(ctx)
}

// giveBack lets writers be quiet again.
func (b *bell) giveBack(ctx context.Context) error {
	if !b.held {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	b.held, b.early = false, nil
	if _, err := Pin(b.conn).Exec(ctx, bellWakeSQL, int64(b.conn.PgConn().PID())); err != nil {
		return fmt.Errorf("give the doorbell back: %w", err)
	}
	return nil
}

// wait returns when it is time for the next look: when an event was committed, or after a while. That is quiet unless the reader sleeps, and
// also while gaps are open, or transactions that do not notify.
func (b *bell) wait(ctx context.Context, read *reader, quiet time.Duration) error {
	b.silent = false
	switch {
	case !b.held:
		if !pause(ctx, quiet) {
			return context.Cause(ctx)
		}
		return nil
	case read.gaps.any(), len(b.early) > 0:
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
	h, err := waitHeard(waiting, b.conn)
	b.slept += time.Since(began)
	switch {
	case err == nil:
		b.rang(h)
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

// add counts some that came after some sleep since the ones before.
func (p *pace) add(slept time.Duration, n int) {
	p.level = max(0, p.level-slept.Seconds()*paceRate) + float64(n)
}

// many reports whether more have come of late than is slow.
func (p *pace) many() bool { return p.level > paceBurst }

const (
	// idleRate and idleBurst are how many notifications a second, and at once, may come without an
	// event. Some do: a statement that inserts no row notifies, and an event may be found before
	// its notification arrives.
	idleRate  = 5
	idleBurst = 50
)

// excess is a bucket that leaks: by how many the notifications of late exceed the events. A writer
// sends one for each transaction at most, before or after its events are found.
type excess struct {
	level float64 // negative while events were found that may still be announced
	at    time.Time
}

// add counts notifications.
func (e *excess) add(now time.Time, n int) {
	if e.level > 0 {
		e.level = max(0, e.level-now.Sub(e.at).Seconds()*idleRate)
	}
	e.level, e.at = e.level+float64(n), now
}

// pay takes events into account that were found.
func (e *excess) pay(events int) { e.level = max(-idleBurst, e.level-float64(events)) }

// many reports whether more have come of late than may.
func (e *excess) many() bool { return e.level > idleBurst }

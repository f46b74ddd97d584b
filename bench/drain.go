package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

const (
	lookMin      = 2 * time.Millisecond // between two looks at the broker, when it is nearly done
	lookMax      = 100 * time.Millisecond
	settleLook   = 2 * time.Millisecond // between two looks whether everything is settled
	drainTimeout = 5 * time.Minute      // without any progress
)

// drain lets a contender publish a backlog and proves what came of it. The contender waits for events when the backlog appears,
// all of it with one commit: the clock runs from that commit to the moment at which every event is stored and written back. look, if
// it is not nil, looks at the process then.
func (l *lab) drain(ctx context.Context, c contender, w workload, look func(*process) (sample, error)) (values sample, err error) {
	d := &drainage{l: l, c: c, w: w}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.p.stop()) }()
	values, err = d.timed(ctx, 0)
	if err != nil {
		return nil, err
	}
	if look != nil {
		seen, err := look(d.p)
		if err != nil {
			return nil, err
		}
		values = merge(values, seen)
	}
	proved, err := d.prove(ctx, 0)
	return merge(values, proved), err
}

// drainage is a drain under way.
type drainage struct {
	l      *lab
	c      contender
	w      workload
	stream natsjs.Stream
	p      *process
	began  time.Time // the timed part
	ended  time.Time
}

// begin starts the contender beside an empty table and an empty stream.
func (d *drainage) begin(ctx context.Context) (err error) {
	if err := d.c.empty(ctx, d.l); err != nil {
		return fmt.Errorf("empty the table: %w", err)
	}
	if d.stream, err = d.l.freshStream(ctx); err != nil {
		return err
	}
	d.p, err = d.c.start(ctx, d.l)
	return err
}

// timed drains the events from number first on, to the last.
func (d *drainage) timed(ctx context.Context, first int) (sample, error) {
	count := d.w.events - first
	used := func() usage { return d.l.usageOf(d.p.pid(), d.l.natsPID) }
	start, err := d.l.release(ctx, d.c, d.w, first, count, used)
	if err != nil {
		return nil, err
	}
	if err := d.await(ctx, d.w.events, start.end); err != nil {
		return nil, err
	}
	d.began, d.ended = start.at, time.Now()
	return merge(used().perEvent(start.used, count), sample{drained.name: float64(count) / d.ended.Sub(d.began).Seconds()}), nil
}

// await returns when so many events are stored, and everything up to the place end of the server's log is written back.
func (d *drainage) await(ctx context.Context, events int, end string) error {
	if err := waitStored(ctx, d.p, events, storedIn(d.stream)); err != nil {
		return err
	}
	return waitSettled(ctx, d.l, d.c, d.p, end)
}

// prove proves that everything is in the stream, and returns how the events from number first on, those of the timed part, came into it.
func (d *drainage) prove(ctx context.Context, first int) (sample, error) {
	times, err := prove(ctx, d.stream, d.w)
	if err != nil {
		return nil, err
	}
	earliest, latest := extremes(times[first:])
	return sample{
		stored.name:   rateOf(times[first:]),
		waiting.name:  earliest.Sub(d.began).Seconds() * 1000,
		settling.name: d.ended.Sub(latest).Seconds() * 1000,
	}, nil
}

// start is when a backlog appeared.
type start struct {
	at   time.Time
	end  string // of the server's log
	used usage  // until right before
}

// release puts events into the contender's table, all with one commit.
func (l *lab) release(ctx context.Context, c contender, w workload, first, count int, used func() usage) (s start, err error) {
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return s, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit this does nothing
	if err := insert(ctx, tx, c, w, first, count); err != nil {
		return s, fmt.Errorf("fill the table: %w", err)
	}
	if err := l.checkpoint(ctx); err != nil {
		return s, err
	}
	s.used = used()
	if err := tx.Commit(ctx); err != nil {
		return s, fmt.Errorf("fill the table: %w", err)
	}
	s.at = time.Now()
	err = l.admin.QueryRow(ctx, "select pg_current_wal_flush_lsn()::text").Scan(&s.end)
	return s, err
}

// storedIn asks how many events a stream holds.
func storedIn(stream natsjs.Stream) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		info, err := stream.Info(ctx)
		if err != nil {
			return 0, err
		}
		return int(info.State.Msgs), nil
	}
}

// waitStored returns when the broker has so many events. It looks more often the nearer the end is, for looking takes time from what is
// measured.
func waitStored(ctx context.Context, p *process, events int, reached func(context.Context) (int, error)) error {
	had, began := 0, time.Now()
	since := began
	for {
		has, err := reached(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("ask the broker how much it has stored: %w", err)
		case has >= events:
			return nil
		case p.ended():
			return fmt.Errorf("the program ended when %d of %d events were stored; it said: %s", has, events, p.log.text())
		case has > had:
			had, since = has, time.Now()
		case time.Since(since) > drainTimeout:
			return fmt.Errorf("nothing was stored for %s, after %d of %d events; the program said: %s", drainTimeout, has, events, p.log.text())
		}
		left := time.Since(began) * time.Duration(events-has) / time.Duration(max(1, has))
		if !sleep(ctx, min(max(left/4, lookMin), lookMax)) {
			return ctx.Err()
		}
	}
}

// waitSettled returns when everything is written back. The table is looked at only then, for a look may cost the server much.
func waitSettled(ctx context.Context, l *lab, c contender, p *process, end string) error {
	for began := time.Now(); ; {
		done, err := c.settled(ctx, l, end)
		switch {
		case err != nil:
			return fmt.Errorf("ask what is written back: %w", err)
		case done:
			return nil
		case p.ended() || time.Since(began) > drainTimeout:
			return fmt.Errorf("not everything was written back within %s; the program said: %s", drainTimeout, p.log.text())
		}
		if !sleep(ctx, settleLook) {
			return ctx.Err()
		}
	}
}

// rateOf is how many events a second were stored, from the first to the last.
func rateOf(times []time.Time) float64 {
	first, last := extremes(times)
	return float64(len(times)-1) / last.Sub(first).Seconds()
}

func extremes(times []time.Time) (first, last time.Time) {
	return slices.MinFunc(times, time.Time.Compare), slices.MaxFunc(times, time.Time.Compare)
}

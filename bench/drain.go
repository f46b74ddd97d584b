package main

import (
	"context"
	"errors"
	"fmt"
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
// all of it with one commit: the clock runs from that commit to the moment at which every event is stored and written back.
func (l *lab) drain(ctx context.Context, c contender, w workload, look func(*process) (sample, error)) (values sample, err error) {
	if err := c.empty(ctx, l); err != nil {
		return nil, fmt.Errorf("empty the table: %w", err)
	}
	stream, err := l.freshStream(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.start(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	values, err = l.timeDrain(ctx, c, w, p, stream)
	if err != nil {
		return nil, err
	}
	if look != nil {
		seen, err := look(p)
		if err != nil {
			return nil, err
		}
		values = merge(values, seen)
	}
	times, err := prove(ctx, stream, w)
	if err != nil {
		return nil, err
	}
	return merge(values, sample{stored.name: rateOf(times)}), nil
}

func (l *lab) timeDrain(ctx context.Context, c contender, w workload, p *process, stream natsjs.Stream) (sample, error) {
	end, began, before, err := l.release(ctx, c, w, func() usage { return l.usageOf(p.pid(), l.natsPID) })
	if err != nil {
		return nil, err
	}
	if err := waitStored(ctx, p, w.events, storedIn(stream)); err != nil {
		return nil, err
	}
	if err := waitSettled(ctx, l, c, p, end); err != nil {
		return nil, err
	}
	took := time.Since(began)
	costs := l.usageOf(p.pid(), l.natsPID).perEvent(before, w.events)
	return merge(costs, sample{drained.name: float64(w.events) / took.Seconds()}), nil
}

// release puts the backlog into the contender's table, all at once, and returns where the server's log ended then, and when that was.
// used is read right before.
func (l *lab) release(ctx context.Context, c contender, w workload, used func() usage) (end string, began time.Time, before usage, err error) {
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return "", began, nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit this does nothing
	if err := insert(ctx, tx, c, w, 0, w.events); err != nil {
		return "", began, nil, fmt.Errorf("fill the table: %w", err)
	}
	if err := l.checkpoint(ctx); err != nil {
		return "", began, nil, err
	}
	before = used()
	if err := tx.Commit(ctx); err != nil {
		return "", began, nil, fmt.Errorf("fill the table: %w", err)
	}
	began = time.Now()
	err = l.admin.QueryRow(ctx, "select pg_current_wal_flush_lsn()::text").Scan(&end)
	return end, began, before, err
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
	first, last := times[0], times[0]
	for _, each := range times {
		if each.Before(first) {
			first = each
		}
		if each.After(last) {
			last = each
		}
	}
	return float64(len(times)-1) / last.Sub(first).Seconds()
}

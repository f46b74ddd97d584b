package demo

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// play plays the game for its duration, or until stop ends. It returns when the last transaction has ended.
func (d *demo) play(stop context.Context) error {
	timed, cancel := context.WithTimeout(stop, d.Duration)
	defer cancel()
	group, ctx := errgroup.WithContext(timed)
	group.Go(func() error { return d.game.Play(ctx) })
	group.Go(func() error { return d.watchEngine(ctx) })
	if d.Outage {
		group.Go(func() error { return d.interrupt(ctx) })
	}
	return group.Wait()
}

// watchEngine ends the game when there is no relay any more.
func (d *demo) watchEngine(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.engine.ended:
		return errRelayEnded
	}
}

// sleep waits for as long as t, and returns false when ctx ends before.
func sleep(ctx context.Context, t time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(t):
		return true
	}
}

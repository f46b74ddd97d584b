package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/relay"
)

// auditTimeout bounds the reading of the rest of the stream and the questions to the database.
const auditTimeout = 30 * time.Second

// closing is the closed account, and where what is missing may be found.
type closing struct {
	account.Snapshot
	waiting     int64 // rows left in outbox.events
	deadLetters int64
}

// audit waits until the backlog is drained and closes the account. The order matters: only when the relay has
// ended can nothing more come into the stream, and only when the consumer has read all of the stream is missing what is missing.
func (d *demo) audit() (closing, error) {
	d.progress.enter("draining")
	d.drain()
	if err := d.engine.stop(); err != nil {
		return closing{}, fmt.Errorf("stop the relay: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	if err := d.consumer.CaughtUp(ctx); err != nil {
		return closing{}, fmt.Errorf("the account cannot be closed: %w", err)
	}
	if d.fallback != nil {
		if err := d.fallback.CaughtUp(ctx); err != nil {
			return closing{}, fmt.Errorf("the account cannot be closed: %w", err)
		}
	}
	c := closing{Snapshot: d.books.Close()}
	if err := d.checkCommitted(ctx, c.Snapshot); err != nil {
		return closing{}, err
	}
	backlog, err := relay.ReadBacklog(ctx, d.engine.pool)
	c.waiting, c.deadLetters = backlog.Events, backlog.DeadLetters
	return c, err
}

// drain waits until everything that was committed has been received. It gives up when nothing comes any more.
func (d *demo) drain() {
	if d.standIn != nil {
		returning, cancel := context.WithTimeout(context.Background(), d.patience)
		d.watchReturn(returning)
		cancel()
	}
	drained := d.books.MarkWaiting()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	delivered, since := -1, time.Now()
	for {
		select {
		case <-drained:
			if d.outage.caughtUp != nil && d.outage.drained.IsZero() {
				d.caughtUp("draining")
			}
			return
		case <-tick.C:
		}
		if now := d.books.Snapshot().Delivered; now != delivered {
			delivered, since = now, time.Now()
		}
		if time.Since(since) > d.patience {
			return
		}
	}
}

// checkCommitted compares the game's own count with the database's: an account that rests on a wrong count proves nothing. Commits
// in doubt may be in the database or not.
func (d *demo) checkCommitted(ctx context.Context, s account.Snapshot) error {
	events, err := d.game.Events(ctx)
	if err != nil {
		return fmt.Errorf("ask the database what was committed: %w", err)
	}
	if events < s.Committed || events > s.Committed+s.InDoubt {
		return fmt.Errorf("the account is wrong: the game counted %d committed events, and the database holds %d", s.Committed, events)
	}
	return nil
}

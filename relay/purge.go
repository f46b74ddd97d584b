package relay

import (
	"context"
	"time"
)

const (
	// purgeEvents is about how many events one step of the purge removes: short enough to hold up no writer.
	purgeEvents = 8192
	// purgePositionsLimit is how many positions one step looks at: some seconds' worth at any rate.
	purgePositionsLimit = 200
	// purgeInterval is the pause after a step that found little to do. After each that found nothing it doubles, up to purgeIdle, or a
	// tenth of the retention where that is less: most outboxes of many are quiet.
	purgeInterval = time.Second
	purgeIdle     = 10 * time.Second
	// purgeRestart is how often the purge looks at all receipts again, and not only at those behind the last one that it
	// removed: it must not walk over the dead rows of its own past with every step.
	purgeRestart = time.Minute
)

// What the loop does, in the words of the log.
const purging = "purge settled events"

// purger removes receipts and their rows after the retention, and positions that newer ones have replaced.
type purger struct {
	db        *database
	retention time.Duration
	brokers   []string // whose receipts may go; nil for every broker
	track     *tracker
	metrics   *metrics

	after     int64 // the last receipt that was removed
	position  int64 // the last position that was removed
	restarted time.Time
}

// run owns the time: again at once while there is much to do, a pause otherwise, and growing ones while Postgres refuses.
func (p *purger) run(ctx context.Context, retry interface {
	NextBackOff() time.Duration
	Reset()
}) error {
	idle := max(purgeInterval, min(purgeIdle, p.retention/10))
	quiet := purgeInterval
	for {
		wait := purgeInterval
		position := p.position
		events, err := p.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.track.databaseFailed(purging, err)
			wait += retry.NextBackOff()
		default:
			retry.Reset()
			p.track.databaseWorks(purging)
			if events >= purgeEvents/2 {
				continue
			}
			quiet = min(2*quiet, idle)
			if events > 0 || p.position != position {
				quiet = purgeInterval
			}
			wait = quiet
		}
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// step purges once and returns how many events went.
func (p *purger) step(ctx context.Context) (int64, error) {
	if time.Since(p.restarted) > purgeRestart {
		if err := purgeRehomes(ctx, p.db); err != nil {
			return 0, err
		}
		p.after, p.position, p.restarted = 0, 0, time.Now()
	}
	var err error
	if p.position, err = purgePositions(ctx, p.db, p.position, purgePositionsLimit); err != nil {
		return 0, err
	}
	last, events, err := purgeReceipts(ctx, p.db, p.after, p.retention, purgeEvents, p.brokers)
	if err != nil {
		return 0, err
	}
	p.after = last
	p.metrics.purged.Add(float64(events))
	return events, nil
}

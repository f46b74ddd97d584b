package relay

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pause waits for d and reports true, or returns false at once when ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// newBackoff returns pauses that double from cfg.BackoffMin to most, each up to half shorter or longer by chance, so that
// many relays do not knock at the same moment.
func (c Config) newBackoff(most time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = min(c.BackoffMin, most)
	b.MaxInterval = most
	b.Multiplier = 2
	b.RandomizationFactor = 0.5
	b.Reset()
	return b
}

// newLaneBackoff returns the pauses between the attempts of one event.
func (c Config) newLaneBackoff() *backoff.ExponentialBackOff { return c.newBackoff(c.BackoffMax) }

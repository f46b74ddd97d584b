package relay

import (
	"context"
	"time"
)

const (
	// measureInterval is how often the leader measures the backlog.
	measureInterval = 2 * time.Second
	// quietLimit is after how long without a Publish the broker is asked for its health. It is longer than any pause
	// between two tries, so that the answer does not contradict them.
	quietLimit = 2 * misconfiguredPause
)

// What the loop does, in the words of the log.
const measuring = "measure the backlog"

// measureLoop keeps the backlog, the lag, the clock and the broker's state true while this relay leads. A failure is no
// reason to stop.
func (r *Relay) measureLoop(ctx context.Context) error {
	for {
		r.measure(ctx)
		r.askBroker(ctx)
		if !pause(ctx, measureInterval) {
			return nil
		}
	}
}

func (r *Relay) measure(ctx context.Context) {
	began := time.Now()
	low := r.parked.Load().least(r.low.Load())
	b, now, err := readBacklog(ctx, r.pool, low)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.track.databaseFailed(measuring, err)
	default:
		r.clock.set(now, began, time.Now())
		r.track.measured(b)
		r.track.databaseWorks(measuring)
	}
}

// askBroker asks a broker for its health that has had nothing to do for a while.
func (r *Relay) askBroker(ctx context.Context) {
	connector, ok := r.publisher.(Connector)
	if !ok || r.track.quietFor() < quietLimit {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if err := connector.Connect(ctx); ctx.Err() == nil {
		r.track.brokerAnswered(stateOf(err), err)
	}
}

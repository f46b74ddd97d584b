package relay

import (
	"context"
	"errors"
	"fmt"
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
// reason to stop; that everything must be read again is, and so is a stream that has lost events.
func (r *Relay) measureLoop(ctx context.Context) error {
	for {
		if err := r.measure(ctx); err != nil {
			return err
		}
		r.askBroker(ctx)
		if !pause(ctx, measureInterval) {
			return nil
		}
	}
}

// byHand is what a session knows of the work of operators. It ends when they have done more.
type byHand struct {
	epoch   int64 // see outbox.control
	request int64 // see lastRequest
}

// readByHand is called before a session reads anything that the epoch speaks of.
func readByHand(ctx context.Context, db Queryer) (k byHand, err error) {
	if k.request, err = lastRequest(ctx, db); err != nil {
		return k, err
	}
	k.epoch, err = readEpoch(ctx, db)
	return k, err
}

func readEpoch(ctx context.Context, db Queryer) (int64, error) {
	return queryOne[int64](ctx, db, "select coalesce(max(epoch), 0) from outbox.control")
}

// measure returns an error only if the session has to begin anew.
func (r *Relay) measure(ctx context.Context) error {
	began := time.Now()
	low := r.low.Load()
	_, heldEvents := r.held.Load().count()
	w := waiting{low: low, events: heldEvents}
	var err error
	if low == 0 { // the reader has not begun: the broker is not ready
		w, err = waitWithoutReceipt(ctx, r.db)
	} else {
		var parked int
		parked, w.oldest = r.parked.Load().before(low)
		aside, least := r.aside.Load().count()
		w.events += parked + aside
		if w.oldest == 0 || least > 0 && least < w.oldest {
			w.oldest = least
		}
	}
	var m measured
	if err == nil {
		m, err = measureBacklog(ctx, r.db, w)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errAgain):
		return err
	case err != nil:
		r.track.databaseFailed(measuring, err)
		return nil
	}
	r.clock.set(m.now, began, time.Now())
	r.track.backlogMeasured(m.backlog, r.held.Load())
	r.track.databaseWorks(measuring)
	switch {
	case m.epoch != r.byHand.epoch:
		return askedSince(ctx, r.db, r.byHand.request)
	case m.drawn < low-1:
		return fmt.Errorf("%w: %w: the sequence is at %d, below id %d", errAgain, errRenumbered, m.drawn, low-1)
	}
	return nil
}

// askBroker asks a broker for its health that has had nothing to do for a while.
func (r *Relay) askBroker(ctx context.Context) {
	connector, ok := r.active.(Connector)
	if !ok || r.track.quietFor() < quietLimit {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if err := connector.Connect(ctx); ctx.Err() == nil {
		r.track.brokerLooked(stateOf(err), err)
	}
}

const (
	// ledgerInterval is how often the leader compares the stream with what is known of it.
	ledgerInterval = 10 * time.Second
	// foreignEvents is how many events of others in the stream a position may lie behind.
	foreignEvents = 10_000
)

// watchLoop notices a stream that loses events while nothing is published, or loses them at its beginning, and keeps the position near
// the end of a stream that others publish to. It returns only when the session has to begin anew, or when ctx ends. The broker's
// errors are the publish loop's matter.
func (r *Relay) watchLoop(ctx context.Context, at place, accepted StreamState) error {
	ledger, ok := r.active.(Ledger)
	settled := accepted.Last
	for ok && pause(ctx, ledgerInterval) {
		state, err := inspect(ctx, ledger)
		if err != nil {
			continue
		}
		if !state.Continues(accepted) {
			return fmt.Errorf("%w: %w", errAgain, ErrRewound)
		}
		accepted = state
		settled = r.advance(ctx, at, state.Last, settled)
		keptFrom, err := r.reconciler(ledger).look(ctx, at, state)
		if err != nil {
			continue // it is read again
		}
		lost, gone := purgedByHand(at, state, keptFrom)
		if !gone || r.cfg.Heal == HealOff {
			continue
		}
		events, err := countLost(ctx, r.db, lost)
		if err == nil && events > 0 && (r.cfg.Heal == HealAuto || r.track.isNewLoss(describePurge(state))) {
			return fmt.Errorf("%w: %w", errAgain, ErrRewound)
		}
	}
	return nil
}

// advance notes that the stream is settled up to last, its end at an earlier moment, if that is so and lies well behind settled. It
// returns up to where the stream is settled by what it has noted. Without that, the next leader of a quiet outbox would have to read
// everything that the outboxes beside it have published to the same stream since.
func (r *Relay) advance(ctx context.Context, at place, last, settled uint64) uint64 {
	if last < settled+foreignEvents || !r.isSettled() {
		return settled
	}
	if err := writePosition(ctx, r.db, at, last); err != nil {
		return settled // it costs time alone, and is tried again
	}
	return last
}

// isSettled reports whether every event that was read is settled: then the stream holds none without a receipt before any end that was
// seen before. Batches are asked for first, for their events may go to lanes.
func (r *Relay) isSettled() bool {
	aside, _ := r.aside.Load().count()
	return r.landed.Load() && r.parked.Load().len() == 0 && aside == 0
}

func inspect(ctx context.Context, ledger Ledger) (StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return ledger.Inspect(ctx)
}

package relay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// scanChunk is how many events that were found in a stream are settled at once.
	scanChunk = settleEvents
	// clockMargin is how far the clocks of the database and of the broker may be apart.
	clockMargin = 10 * time.Minute
	// lossPause is after how long a stream is looked at again that seems to have lost its end.
	lossPause = 200 * time.Millisecond
)

// errAgain ends the work of one database session so that the next begins, which looks at the broker and reads the table anew.
var errAgain = errors.New("everything is read again")

// reconciler makes Postgres and the stream agree before a relay that has just become the leader reads its first event: what the
// stream holds behind the settled position gets its receipt, and what the stream has lost loses it.
type reconciler struct {
	ledger Ledger
	db     *database
	broker string
	table  int64 // the generation of the table
	heal   Heal
	track  *tracker
	// prepare is called when the broker has answered, before anything is compared.
	prepare func(context.Context) error
}

// run returns the place to which events go, once Postgres and the stream agree. It accepts the stream's state. Its error is that
// of the broker, or a [*databaseError].
func (r reconciler) run(ctx context.Context) (place, StreamState, error) {
	state, err := r.ledger.Inspect(ctx)
	if err != nil {
		return place{}, state, err
	}
	if err := r.prepare(ctx); err != nil {
		return place{}, state, &databaseError{err}
	}
	known, found, err := readPosition(ctx, r.db, r.broker, state.Stream)
	if err != nil {
		return place{}, state, &databaseError{err}
	}
	if found {
		if state, err = r.lookAgain(ctx, state, known); err != nil {
			return place{}, state, err
		}
	}
	at := place{broker: r.broker, stream: state.Stream, incarnation: state.Incarnation}
	keptFrom, err := r.look(ctx, at, state)
	if err != nil {
		return at, state, &databaseError{err}
	}
	if found {
		if err := r.agree(ctx, at, state, known, keptFrom); err != nil {
			return at, state, err
		}
	}
	// From here on the stream is at least so far. Without this, a crash before the first receipt would leave no trace.
	if err := writePosition(ctx, r.db, at, state.Last); err != nil {
		return at, state, &databaseError{err}
	}
	r.ledger.Accept(state)
	return at, state, nil
}

// lookAgain returns the stream's state, once it goes on from what is known of it or the server that leads it has had its time to catch
// up. A server that has taken the lead meanwhile has all of that time again.
func (r reconciler) lookAgain(ctx context.Context, state StreamState, known position) (StreamState, error) {
	seemsLost := func() bool { return state.Incarnation == known.incarnation && state.Last < known.last }
	if seemsLost() && state.CatchUp > 0 {
		r.track.lossSuspected(describeRewind(state, known), state)
	}
	for since := time.Now(); seemsLost() && time.Since(since) < state.CatchUp; {
		if !pause(ctx, lossPause) {
			return state, context.Cause(ctx)
		}
		now, err := r.ledger.Inspect(ctx)
		if err != nil {
			return state, err
		}
		if now.Leader != state.Leader {
			since = time.Now()
		}
		state = now
	}
	return state, nil
}

// databaseError marks an error of Postgres among those of a broker.
type databaseError struct{ err error }

func (e *databaseError) Error() string { return e.err.Error() }
func (e *databaseError) Unwrap() error { return e.err }

// agree deals with the difference between a stream and what is known of it.
func (r reconciler) agree(ctx context.Context, at place, state StreamState, known position, keptFrom uint64) error {
	before := StreamState{Incarnation: known.incarnation, Last: known.last}
	if !state.Continues(before) {
		lost := loss{place: at, after: state.Last}
		return r.recover(ctx, state, lost, describeRewind(state, known))
	}
	if lost, gone := purgedByHand(at, state, keptFrom); gone {
		if err := r.recover(ctx, state, lost, describePurge(state)); err != nil {
			return err
		}
	}
	return r.lookUp(ctx, at, Scan{First: known.last + 1, Last: state.Last})
}

func describeRewind(state StreamState, known position) string {
	if state.Incarnation != known.incarnation {
		return fmt.Sprintf("the stream %q is not the one that acknowledged events up to sequence %d: it was deleted and created anew, "+
			"or replaced by a copy", state.Stream, known.last)
	}
	return fmt.Sprintf("the stream %q ends at sequence %d, but had acknowledged events up to sequence %d: its server lost data, or "+
		"a backup was restored", state.Stream, state.Last, known.last)
}

func describePurge(state StreamState) string {
	return fmt.Sprintf("the stream %q holds nothing before sequence %d, and no limit can have removed that: it was purged by hand",
		state.Stream, state.First)
}

// purgedByHand returns what is missing at the beginning of a stream that has removed nothing by itself from a sequence on, see [kept]. The
// stream still recognises the ids of what was purged within its duplicate window, and would drop them: those have to wait until it is over.
func purgedByHand(at place, state StreamState, keptFrom uint64) (loss, bool) {
	if state.First <= max(keptFrom, 1) {
		return loss{}, false
	}
	const late = 1.1 // the clocks of two hosts do not run alike
	minAge := time.Duration(float64(state.DuplicateWindow) * late)
	maxAge := time.Duration(float64(state.MaxAge) / late)
	if maxAge > 0 && maxAge <= minAge {
		return loss{}, false // expired before it could be sent again
	}
	return loss{place: at, after: math.MaxUint64, from: keptFrom, before: state.First, minAge: minAge, maxAge: maxAge}, true
}

// recover takes the receipts for lost events back, as far as that is wanted, so that they are published again. What of them
// the stream holds after all gets its receipt anew.
func (r reconciler) recover(ctx context.Context, state StreamState, lost loss, cause string) error {
	if r.heal != HealAuto {
		events, err := countLost(ctx, r.db, lost)
		if err != nil {
			return &databaseError{err}
		}
		r.report(lost, events, cause)
		return nil
	}
	var v voided
	err := pgx.BeginFunc(ctx, r.db, func(tx pgx.Tx) (err error) {
		if v, err = voidReceipts(ctx, tx, lost); err != nil || v.events == 0 {
			return err
		}
		// Should this relay die before it has looked, the next one begins to look here.
		return writePosition(ctx, tx, lost.place, v.lookFrom(state)-1)
	})
	if err != nil {
		return &databaseError{err}
	}
	if v.events == 0 && lost.before > 0 {
		return nil // nothing is kept of what was purged, or it was dealt with before
	}
	began := time.Now()
	_, survived, err := r.settleFound(ctx, lost.place, v.scan(state))
	if err != nil {
		return err
	}
	r.track.healed(cause, v.events-survived, survived, time.Since(began))
	return nil
}

// report tells of a loss that is not healed, once.
func (r reconciler) report(lost loss, events int64, cause string) {
	if lost.before > 0 && events == 0 {
		return
	}
	r.track.lossSeen(cause, events, r.heal == HealReport)
}

// lookFrom returns the first sequence at which the stream may hold a voided event.
func (v voided) lookFrom(state StreamState) uint64 { return max(v.first, state.First, 1) }

// scan returns where the stream may hold voided events. Those of another incarnation can be anywhere.
func (v voided) scan(state StreamState) Scan {
	if v.first == 0 {
		return Scan{First: v.lookFrom(state), Last: state.Last, Since: v.since.Add(-clockMargin)}
	}
	return Scan{First: v.lookFrom(state), Last: min(v.last, state.Last)}
}

// lookUp finds the events that were published and not settled before the lead changed.
func (r reconciler) lookUp(ctx context.Context, at place, tail Scan) error {
	if tail.First > tail.Last {
		return nil
	}
	began := time.Now()
	read, settled, err := r.settleFound(ctx, at, tail)
	if err != nil {
		return err
	}
	r.track.lookedUp(read, settled, time.Since(began))
	return nil
}

// settleFound gives a receipt to the events of the table that are found in a part of the stream, and returns how many it read and
// how many those were. The work is bounded by the part: headers are read, and a chunk of them is in memory.
func (r reconciler) settleFound(ctx context.Context, at place, scan Scan) (read, settled int64, err error) {
	if scan.First > scan.Last {
		return 0, 0, nil
	}
	covered, err := readReceipts(ctx, r.db, r.table)
	if err != nil {
		return 0, 0, &databaseError{err}
	}
	chunk := acknowledged{place: at, generation: r.table, first: scan.First}
	flush := func() error {
		var err error
		if chunk.events, err = readPresent(ctx, r.db, chunk.events); err == nil {
			_, err = writeReceipt(ctx, r.db, chunk, 0)
		}
		if err != nil {
			return &databaseError{err}
		}
		settled += int64(len(chunk.events))
		chunk.events, chunk.first = chunk.events[:0], chunk.last+1
		return nil
	}
	err = r.ledger.Scan(ctx, scan, func(event StoredEvent) error {
		read++
		if covers(covered, event.ID) {
			return nil
		}
		chunk.events = append(chunk.events, identity{id: event.ID, eventID: event.EventID})
		chunk.last, chunk.position = event.Sequence, event.Sequence
		if len(chunk.events) < scanChunk {
			return nil
		}
		return flush()
	})
	if err != nil || len(chunk.events) == 0 {
		return read, settled, err
	}
	return read, settled, flush()
}

package deadletter

import (
	"context"
	"slices"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// Outcome says what has become of a retried event.
type Outcome string

// What can become of a retried event. Stored, Duplicate and Dead are recorded in outbox.dead_letter_log.
const (
	Waits        Outcome = "waiting"      // the relay has not settled it yet
	Held         Outcome = "held"         // it waits, for another dead letter holds its key
	Elsewhere    Outcome = "elsewhere"    // another broker took it: of two the fallback, until the primary is used again
	Acknowledged Outcome = "acknowledged" // the broker took it; whether it stored or dropped it was not found out
	Stored       Outcome = "stored"       // the stream has stored it since
	Duplicate    Outcome = "duplicate"    // the stream recognised its id, and has stored nothing new
	Dead         Outcome = "dead"         // it is a dead letter again
)

// open reports whether the relay has still to settle the event.
func (o Outcome) open() bool { return o == Waits || o == Held }

// lookEvents is how many events one statement asks about.
const lookEvents = 10_000

const (
	// The pauses between two looks for what the relay has settled.
	awaitPauseMin = 50 * time.Millisecond
	awaitPauseMax = time.Second
)

// Await waits until the relay has settled the retried events, and sets their outcome to Acknowledged, to Elsewhere if it was not by
// this broker (empty for any), or to Dead. It gives up when nothing was settled for patience, or when ctx ends, which is no error:
// then some are left that wait or are held.
func (s *Store) Await(ctx context.Context, retried []Retried, broker string, patience time.Duration) error {
	open := pointers(retried)
	deadline := time.Now().Add(patience)
	for pause := awaitPauseMin; ; pause = min(2*pause, awaitPauseMax) {
		before := len(open)
		if err := s.settled(ctx, open, broker); err != nil && ctx.Err() == nil {
			return err
		}
		open = slices.DeleteFunc(open, func(r *Retried) bool { return !r.Outcome.open() })
		if len(open) < before {
			deadline, pause = time.Now().Add(patience), awaitPauseMin
		}
		if len(open) == 0 || time.Now().After(deadline) || !wait(ctx, pause) {
			return nil
		}
	}
}

func pointers(retried []Retried) []*Retried {
	all := make([]*Retried, len(retried))
	for i := range retried {
		all[i] = &retried[i]
	}
	return all
}

// settled asks once what has become of events.
func (s *Store) settled(ctx context.Context, open []*Retried, broker string) error {
	for chunk := range slices.Chunk(open, lookEvents) {
		ids, eventIDs := columns(refs(chunk))
		found, err := look[struct{ Outcome Outcome }](ctx, s, settledSQL, ids, eventIDs, broker)
		if err != nil {
			return err
		}
		for i, each := range found {
			chunk[i].Outcome = each.Outcome
		}
	}
	return nil
}

func refs(retried []*Retried) []Ref {
	all := make([]Ref, len(retried))
	for i, each := range retried {
		all[i] = each.Ref()
	}
	return all
}

// wait waits, and reports false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Record writes the outcomes that are certain to outbox.dead_letter_log.
func (s *Store) Record(ctx context.Context, retried []Retried) error {
	for chunk := range slices.Chunk(retried, lookEvents) {
		var lines []int64
		var outcomes []string
		for _, each := range chunk {
			if each.Outcome == Stored || each.Outcome == Duplicate || each.Outcome == Dead {
				lines, outcomes = append(lines, each.LogID), append(outcomes, string(each.Outcome))
			}
		}
		if err := s.change(ctx, recordSQL, lines, outcomes); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) change(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkTimeout)
	defer cancel()
	_, err := relay.Pin(s.pool).Exec(ctx, sql, args...)
	return err
}

// PutBack makes those duplicates dead letters again that the stream does not hold: it dropped them, so they would be lost when their rows
// go after the retention. It sets their PutBack. One whose row is gone already, as with retention 0, cannot be put back. cause is the
// error that the dead letters get.
func (s *Store) PutBack(ctx context.Context, retried []Retried, cause string) error {
	dropped := slices.DeleteFunc(pointers(retried), func(r *Retried) bool { return !r.Dropped() })
	for chunk := range slices.Chunk(dropped, chunkEvents) {
		if err := s.putBack(ctx, chunk, cause); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) putBack(ctx context.Context, dropped []*Retried, cause string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkTimeout)
	defer cancel()
	ids, eventIDs := columns(refs(dropped))
	back, err := collect[Ref](ctx, relay.Pin(s.pool), putBackSQL, ids, eventIDs, cause)
	for _, each := range dropped {
		each.PutBack = slices.Contains(back, each.Ref())
	}
	return err
}

// Found is an event as a stream holds it.
type Found struct {
	Sequence uint64
	ID       int64 // in outbox.events, when it was published
	Subject  string
	Key      string
	StoredAt time.Time // by the broker's clock
}

// Dropped reports whether the stream has dropped the event although it does not hold it: it has removed what it recognised, or
// what it holds under the id is another event.
func (r *Retried) Dropped() bool {
	return r.Outcome == Duplicate && (r.Found == nil || !r.Found.is(r))
}

// is reports whether what was found is a retried event, and not another one that was given the same id. A replay or a retry may have
// published it under another number.
func (f *Found) is(r *Retried) bool { return f.Subject == r.Subject && f.Key == r.Key }

package deadletter

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/outbox"
)

// Retried is a dead letter that became an event again.
type Retried struct {
	LogID        int64 // its line in outbox.dead_letter_log
	ID           int64 // that the dead letter had
	EventID      outbox.ID
	NewID        int64 // in outbox.events: the same, unless another event had it
	Subject, Key string
	LastFailedAt time.Time
	// Outcome is what has become of it; see [Store.Await] and [Stream].
	Outcome Outcome
	// Found is what the stream holds under the event id of a [Duplicate]; nil if it holds nothing.
	Found *Found
	// PutBack says that it is a dead letter again because the stream dropped it, see [Store.PutBack].
	PutBack bool
}

// Ref names the event by the id that it has now.
func (r *Retried) Ref() Ref { return Ref{ID: r.NewID, EventID: r.EventID} }

// Refused is a dead letter that outbox.events does not take, and Err why. It is still a dead letter.
type Refused struct {
	Ref
	Err error
}

// Retries is what a retry has done.
type Retries struct {
	Retried []Retried
	Refused []Refused
}

// Retry makes the dead letters that are meant events again, in chunks, and calls progress with the number of those that are done. One that
// outbox.events refuses, for instance because it breaks a rule that is younger than itself, stops no other. With an
// error, the result says what was done before it; when ctx ends, whole chunks are done and the error is the context's cause.
func (s *Store) Retry(ctx context.Context, sel Selection, trail Trail, progress func(done int)) (Retries, error) {
	actor, err := s.actor(ctx, trail.By)
	if err != nil {
		return Retries{}, err
	}
	var total Retries
	var chunk retrier
	err = s.inChunks(ctx, sel, func(ctx context.Context, tx pgx.Tx, page []Ref) (int, error) {
		chunk = retrier{actor: actor, note: trail.Note}
		err := chunk.retry(ctx, tx, page)
		total.Refused = append(total.Refused, chunk.refused...)
		return len(chunk.retried), err
	}, func() {
		total.Retried = append(total.Retried, chunk.retried...)
		progress(len(total.Retried))
	})
	return total, err
}

// retrier retries the dead letters of one transaction.
type retrier struct {
	actor, note string
	retried     []Retried
	refused     []Refused
}

// row is a row that sql/retry.sql returns.
type row struct {
	LogID, ID    int64
	EventID      outbox.ID
	NewID        int64
	Subject, Key string
	LastFailedAt time.Time
}

// retry retries all at once. If Postgres refuses one, it is found out by halves, each behind a savepoint.
func (r *retrier) retry(ctx context.Context, tx pgx.Tx, refs []Ref) error {
	var rows []row
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) (err error) {
		ids, eventIDs := columns(refs)
		rows, err = collect[row](ctx, savepoint, retrySQL, ids, eventIDs, r.actor, r.note)
		return err
	})
	switch {
	case err == nil:
		r.take(rows)
		return nil
	case !refusesRow(err):
		return err
	case len(refs) == 1:
		r.refused = append(r.refused, Refused{Ref: refs[0], Err: err})
		return nil
	}
	half := len(refs) / 2
	if err := r.retry(ctx, tx, refs[:half]); err != nil {
		return err
	}
	return r.retry(ctx, tx, refs[half:])
}

func (r *retrier) take(rows []row) {
	for _, each := range rows {
		r.retried = append(r.retried, Retried{
			LogID: each.LogID, ID: each.ID, EventID: each.EventID, NewID: each.NewID, Subject: each.Subject, Key: each.Key,
			LastFailedAt: each.LastFailedAt, Outcome: Waits,
		})
	}
}

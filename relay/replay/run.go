package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/time/rate"

	"github.com/gameoutbox/relay/relay"
)

const (
	// stepEvents and stepBytes are the most that one transaction copies: short enough to hold up nobody.
	stepEvents = 1000
	stepBytes  = 8 << 20
	// stepRows is how many rows one transaction looks at, selected or not.
	stepRows = 8192
	// stepsPerSecond is how often a replay with a rate copies something, as far as the rate allows.
	stepsPerSecond = 5
)

// ErrInterrupted is returned by [Run] when its context ended. The step that was being done is done; [Run] goes on from there.
var ErrInterrupted = errors.New("the replay was interrupted")

// Options say how events are copied.
type Options struct {
	// DB is a pool or a connection, whose role has the rights of outbox.grant_operator.
	DB relay.Queryer
	// Rate is the most events that are copied in a second, on average and from the start; 0 means no limit. New events of the
	// services wait behind the copies that were written before them.
	Rate int
	// Progress gets the replay after every step; nil means that nobody looks.
	Progress func(Replay)
}

// runner copies step by step.
type runner struct {
	step     func(context.Context, Replay) (next Replay, copied int, err error)
	pace     pacer
	progress func(Replay)
}

// pacer waits until n more events may be copied.
type pacer interface {
	WaitN(ctx context.Context, n int) error
}

// Run copies what a replay has still to copy, and returns it as it is then. It ends with nil when the replay is finished, with
// [ErrInterrupted] when ctx ends, and with the database's error otherwise; after either it can be run again. The same replay may
// be run by two processes at once, which share the work.
func Run(ctx context.Context, opts Options, r Replay) (Replay, error) {
	limit := opts.stepLimit()
	work := runner{pace: newPacer(opts.Rate, limit), progress: opts.Progress}
	work.step = func(ctx context.Context, r Replay) (Replay, int, error) { return step(ctx, opts.DB, r, limit) }
	if work.progress == nil {
		work.progress = func(Replay) {}
	}
	return work.run(ctx, r)
}

func (w runner) run(ctx context.Context, r Replay) (Replay, error) {
	for !r.Finished() {
		if ctx.Err() != nil {
			return r, ErrInterrupted
		}
		next, copied, err := w.step(ctx, r)
		if err != nil {
			return r, fmt.Errorf("copy events behind id %d: %w", r.LastID, err)
		}
		r = next
		w.progress(r)
		if r.Finished() {
			break
		}
		if err := w.pace.WaitN(ctx, copied); err != nil {
			return r, ErrInterrupted
		}
	}
	return r, nil
}

// stepLimit returns how many events one step copies.
func (o Options) stepLimit() int {
	if o.Rate == 0 {
		return stepEvents
	}
	return min(max(o.Rate/stepsPerSecond, 1), stepEvents)
}

// newPacer returns a token bucket that is empty, for a full one would let the first second have twice its share. It holds one step.
func newPacer(perSecond, step int) pacer {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	bucket := rate.NewLimiter(rate.Limit(perSecond), step)
	bucket.AllowN(time.Now(), step)
	return bucket
}

// step copies the next events, in one transaction that the end of ctx does not break off.
func step(ctx context.Context, db relay.Queryer, r Replay, limit int) (next Replay, copied int, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
	defer cancel()
	rows, err := relay.Pin(db).Query(ctx, copySQL, append(r.Selection.Args(), r.ID, stepRows, limit, stepBytes)...)
	if err != nil {
		return r, 0, err
	}
	next, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (n Replay, err error) {
		err = row.Scan(&copied, &n.ID, &n.StartedAt, &n.Actor, &n.Selection, &n.NewIDs, &n.LastID, &n.EndID, &n.Events, &n.FinishedAt)
		return n, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		next, err = Find(ctx, db, r.ID) // another process has finished it
	}
	return next, copied, err
}

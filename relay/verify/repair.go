package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/relay"
)

// RepairOptions say how what is missing is sent again.
type RepairOptions struct {
	Options
	// NoWait leaves alone what the stream would still recognise and drop, instead of waiting until it does not.
	NoWait bool
	// Patience is how long the relay may settle none of the events before nobody waits for it any more; 0 means 2 minutes.
	Patience time.Duration
	// Say gets what an operator should know while it is done, a sentence each; nil means that nobody listens.
	Say func(string)
}

// defaultPatience is longer than any pause of a relay whose broker is away.
const defaultPatience = 2 * time.Minute

// Repaired is what became of the missing events.
type Repaired struct {
	Missing int64 `json:"missing"` // how many there were
	Stored  int64 `json:"stored"`  // the stream holds them again
	// Young were settled less than the duplicate window ago and left alone, for the stream would have dropped them.
	Young int64 `json:"too_young"`
	// Gone were purged or became dead letters before they could be sent.
	Gone int64 `json:"gone"`
	// Unsettled are still to be published: they have no receipt any more, and whichever relay leads publishes them.
	Unsettled int64 `json:"unsettled"`
	// Dropped were settled by the relay and are not in the stream, which recognised them after all.
	Dropped int64  `json:"dropped"`
	Why     string `json:"why,omitempty"` // why some are Unsettled
}

// Whole reports whether the stream holds everything again that was missing.
func (r Repaired) Whole() bool { return r.Stored == r.Missing }

// Repair sends again what a report says is missing: it takes the events out of their receipts, so that the relay that leads publishes
// them once more in the order of their ids, waits until it has settled them, and looks into the stream. A stream recognises what it
// stored within its duplicate window, also what it has lost since, and would drop it: such events wait until that is over.
// After an error, what was taken out is published by the relay nevertheless.
func Repair(ctx context.Context, opts RepairOptions, report *Report) (Repaired, error) {
	if opts.Say == nil {
		opts.Say = func(string) {}
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	if opts.Patience == 0 {
		opts.Patience = defaultPatience
	}
	r := &repair{opts: opts, done: Repaired{Missing: report.Missing}}
	err := r.all(ctx, report.lost)
	return r.done, err
}

// repair is one repair.
type repair struct {
	opts RepairOptions
	done Repaired
}

// all sends what can be sent at once, and then, after a wait, the rest.
func (r *repair) all(ctx context.Context, lost []lostSpan) error {
	for len(lost) > 0 {
		state, err := r.opts.Ledger.Inspect(ctx)
		if err != nil {
			return err
		}
		window := time.Duration(float64(state.DuplicateWindow) * late)
		ripe, young, wait := split(lost, window)
		if err := r.send(ctx, ripe, state.Last); err != nil {
			return err
		}
		if lost = young; len(young) == 0 {
			return nil
		}
		if r.opts.NoWait {
			r.done.Young += count(young)
			return nil
		}
		r.opts.Say(fmt.Sprintf("%d missing events were acknowledged less than the duplicate window of the stream (%s) ago, which would "+
			"drop them; waiting %s", count(young), state.DuplicateWindow, wait.Round(time.Second/10)))
		if err := r.wait(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

// split returns what the stream has forgotten, what it has not, and how long it takes until it has.
func split(lost []lostSpan, window time.Duration) (ripe, young []lostSpan, wait time.Duration) {
	for _, each := range lost {
		if rest := window - time.Since(each.settled); rest > 0 {
			young, wait = append(young, each), max(wait, rest)
			continue
		}
		ripe = append(ripe, each)
	}
	return ripe, young, wait
}

func count(lost []lostSpan) (events int64) {
	for _, part := range lost {
		for _, each := range part.ids {
			events += each.last - each.first + 1
		}
	}
	return events
}

// wait waits, and shows how long it still takes.
func (r *repair) wait(ctx context.Context, wait time.Duration) error {
	for began := time.Now(); ; {
		past := time.Since(began)
		if past >= wait {
			return nil
		}
		r.opts.Progress(Progress{Doing: "waiting for the duplicate window to end", Done: uint64(past), Total: uint64(wait)})
		if err := pause(ctx, min(wait-past, time.Second)); err != nil {
			return err
		}
	}
}

// pause waits until d is over or ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send has events published again that the stream, which ends at a sequence, has forgotten.
func (r *repair) send(ctx context.Context, lost []lostSpan, end uint64) error {
	if len(lost) == 0 {
		return nil
	}
	taken, err := r.takeOut(ctx, lost)
	if err != nil {
		return fmt.Errorf("take the missing events out of their receipts: %w", err)
	}
	r.done.Gone += count(lost) - taken
	if taken == 0 {
		return nil
	}
	r.opts.Say(fmt.Sprintf("%d missing events are events to publish again", taken))
	return r.follow(ctx, resent{taken: taken, ids: idsOf(lost), end: end})
}

// takeOut takes events out of their receipts, all in one transaction, and returns how many there still were.
func (r *repair) takeOut(ctx context.Context, lost []lostSpan) (taken int64, err error) {
	receipts := make([]int64, len(lost))
	for i, each := range lost {
		receipts[i] = each.receipt
	}
	err = pgx.BeginFunc(ctx, r.opts.DB, func(tx pgx.Tx) error {
		if err := relay.PinTx(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockSQL, receipts); err != nil {
			return err
		}
		for _, each := range lost {
			first, last := columns(each.ids)
			events, err := queryOne(ctx, tx, takeOutSQL, each.receipt, first, last)
			if err != nil {
				return err
			}
			taken += events
		}
		_, err := tx.Exec(ctx, raiseEpochSQL)
		return err
	})
	return taken, err
}

func idsOf(lost []lostSpan) (ids []span) {
	for _, each := range lost {
		ids = append(ids, each.ids...)
	}
	return ids
}

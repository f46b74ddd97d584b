package relay

import (
	"context"
	_ "embed" // the statements are files
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/kept.sql
	keptSQL string
	//go:embed sql/set_kept.sql
	setKeptSQL string
)

// kept is what is known of a stream's own removals. What counts is which limits the stream had when events vanished, not which it has now: so
// each look at the stream is compared with the one before. An event that is gone is a proven loss only if no limit can have removed it.
type kept struct {
	incarnation string
	limits      string // by which settings the stream could remove events when it was looked at
	from        uint64 // what the stream held from this sequence on it has not removed by itself, other than by a constant max_age
	until       uint64 // nor does it before it reaches this sequence
}

// next returns what is known after a further look.
func (k kept) next(state StreamState) kept {
	now := kept{incarnation: state.Incarnation, limits: limitsOf(state), from: k.from, until: min(state.KeepsUntil, math.MaxInt64)}
	switch {
	case k.incarnation != now.incarnation, k.until == 0, now.until == 0:
		now.from = state.Last + 1 // it may have removed anything
	case k.limits != now.limits, state.Last > k.until:
		now.from = max(now.from, state.First)
	}
	now.from = min(now.from, state.Last+1) // after a loss of the end, what follows is new
	return now
}

// limitsOf names all settings by which a stream removes events by itself.
func limitsOf(state StreamState) string {
	switch {
	case state.MaxAge == 0:
		return state.Expires
	case state.Expires == "":
		return "max_age is " + state.MaxAge.String()
	}
	return fmt.Sprintf("%s, max_age is %s", state.Expires, state.MaxAge)
}

// doubt returns the part of a stream that is gone, and that a limit which the stream had before, or
// has got since, may have removed. What a limit removes that has not changed is no doubt, nor is
// what a stream lacks that may remove events at any moment as it is now: consumers, or its present
// settings, explain it.
func (k kept) doubt(at place, state StreamState) (loss, bool) {
	now := k.next(state)
	lost := loss{place: at, after: math.MaxUint64, from: k.from, before: min(now.from, state.First)}
	changed := k.incarnation == state.Incarnation && k.limits != now.limits && now.until != 0
	unknown := k == kept{} && now.limits == ""
	return lost, max(lost.from, 1) < lost.before && (changed || unknown)
}

// readKept returns what is known of a stream; the zero value if it was never looked at.
func readKept(ctx context.Context, db Queryer, broker, stream string) (k kept, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, keptSQL, broker, stream)
	if err != nil {
		return k, err
	}
	_, err = pgx.ForEachRow(rows, []any{&k.incarnation, &k.limits, &k.from, &k.until}, func() error { return nil })
	return k, err
}

func writeKept(ctx context.Context, db Queryer, broker, stream string, k kept) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := db.Exec(ctx, setKeptSQL, broker, stream, k.incarnation, k.limits, int64(k.from), int64(k.until))
	return err
}

// KeptFrom returns the sequence from which on the stream has removed nothing by itself, other than by age: what it held there and does not
// hold any more was removed or lost. What lay before it may have been removed by a limit, also by one that was lifted since.
func KeptFrom(ctx context.Context, db Queryer, broker string, state StreamState) (uint64, error) {
	known, err := readKept(ctx, Pin(db), broker, state.Stream)
	return known.next(state).from, err
}

// look compares a stream with what was seen of it before, notes what is seen now, and tells of what its limits may have removed. It
// returns the sequence from which on the stream has removed nothing by itself.
func (r reconciler) look(ctx context.Context, at place, state StreamState) (from uint64, err error) {
	known, err := readKept(ctx, r.db, at.broker, at.stream)
	if err != nil {
		return 0, err
	}
	now := known.next(state)
	if now == known {
		return now.from, nil
	}
	if lost, doubtful := known.doubt(at, state); doubtful && r.heal != HealOff {
		events, err := countLost(ctx, r.db, lost)
		if err != nil {
			return 0, err
		}
		if events > 0 {
			r.track.lossDoubted(describeDoubt(state, known, now), events)
		}
	}
	return now.from, writeKept(ctx, r.db, at.broker, at.stream, now)
}

func describeDoubt(state StreamState, known, now kept) string {
	gone := fmt.Sprintf("the stream %q holds nothing before sequence %d", state.Stream, state.First)
	if known == (kept{}) {
		return gone + ", and it is not known whether it had a limit that removed what lay there"
	}
	return fmt.Sprintf("%s, and its limits were changed from %s to %s: they may have removed what lay there",
		gone, limitText(known.limits), limitText(now.limits))
}

func limitText(limits string) string {
	if limits == "" {
		return "none"
	}
	return "(" + limits + ")"
}

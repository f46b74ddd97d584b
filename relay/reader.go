package relay

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync/atomic"
)

const (
	// maxLooks bounds how many gaps one statement reads. Each costs a walk down the primary key's tree.
	maxLooks = 8192
	// sweepPage is how many ids one statement of the safety sweep reads.
	sweepPage = 10_000
)

// reader finds the events to publish, each once, in order. Its state is good for one database session: a new
// session may speak to another server, so it starts again from the whole table, see [reader.rebuild]. See doc.go for the rules.
type reader struct {
	db      Queryer
	max     limits
	table   int64    // the generation of the table
	last    identity // the event that was read last; the zero value for none
	absent  bool     // receipts name events that are not in the table, and may be put back
	ask     ask      // for the next read of new events: few after a look that found few, so that the first of many do not wait for the last
	room    int      // how many events the last one returned
	late    limits   // of the next look at the gaps: the server measures every row up to that many
	head    int64    // every id up to here was handed out, is in fresh, or lies in a gap
	fresh   page     // read, but not to be handed out before the gaps are read
	gaps    *gaps
	flights []*flight // batches handed out that may have unsettled events
	parked  *parkedIDs
	held    *heldKeys
	aside   *aside
	rehomed []span // events that a fallback got first
	behind  bool   // whether the last read of new events was as large as it could be

	// low is the least id that may be unsettled, for the measurement of the backlog; others read it.
	low *atomic.Int64
	// landed says that no batch is on its way; others read it.
	landed *atomic.Bool
}

func newReader(db Queryer, table int64, max limits, parked *parkedIDs, held *heldKeys, aside *aside,
	low *atomic.Int64, landed *atomic.Bool,
) *reader {
	return &reader{
		db: db, table: table, max: max, ask: firstAsk(max), late: max, gaps: newGaps(),
		parked: parked, held: held, aside: aside, low: low, landed: landed,
	}
}

// rebuild begins with the whole table, but for the rows that receipts cover: the head is the last of those, and everything else
// before it is a gap. So no acknowledged row is read again, however many are retained.
func (r *reader) rebuild(ctx context.Context) error {
	covered, err := readReceipts(ctx, r.db, r.table)
	if err != nil {
		return err
	}
	defer r.forgetLanded()
	if len(covered) == 0 {
		return nil
	}
	r.head = covered[len(covered)-1].last
	if r.last, err = readIdentity(ctx, r.db, r.head); err != nil {
		return err
	}
	for _, each := range between(covered, r.head) {
		r.gaps.miss(each.first, each.last)
	}
	return nil
}

// next returns the events that can be published now, by id; none if there is nothing new.
func (r *reader) next(ctx context.Context) (batch, error) {
	p, err := r.readUnacknowledged(ctx)
	if err != nil {
		return batch{}, err
	}
	r.forgetLanded()
	if len(p.events) == 0 {
		return batch{}, nil
	}
	if p.async {
		if err := flushCommits(ctx, r.db); err != nil {
			return batch{}, err
		}
	}
	b := batch{page: markRehomed(p, r.rehomed), flight: newFlight(p.events)}
	r.flights = append(r.flights, b.flight)
	r.landed.Store(false)
	return b, nil
}

// read looks at the rows after the head first, then at the gaps, and merges them by id. In this order an event cannot
// overtake its predecessor that became visible in between: what was visible to the first look is visible to the second.
func (r *reader) read(ctx context.Context) (page, error) {
	if len(r.fresh.events) == 0 {
		if err := r.readFresh(ctx); err != nil {
			return page{}, err
		}
	}
	late, err := r.readGaps(ctx)
	if err != nil {
		return page{}, err
	}
	var ready page
	ready, r.fresh = r.fresh.cutBefore(r.gaps.unreadFrom())
	return merge(late, ready), nil
}

// readFresh reads the rows after the head.
func (r *reader) readFresh(ctx context.Context) error {
	for {
		asked := r.ask
		fresh, err := readNew(ctx, r.db, r.mark(), r.room, asked, r.max)
		if err != nil {
			return err
		}
		r.ask = asked.next(fresh, r.max)
		if fresh.omitted && len(fresh.events) == 0 {
			continue // the next read returns payloads of any size
		}
		r.fresh, r.room = fresh, len(fresh.events)
		r.behind = fresh.full(limits{events: asked.events, bytes: r.max.bytes})
		r.advance(fresh.events)
		return nil
	}
}

// readGaps returns the events that have appeared in the gaps. A limit may cut it short: then fresh events behind the
// first gap that is still to be read wait.
//
// A look reads the gaps whose owners have ended, and then asks whether any other owner has. If one has, its rows may be
// visible to what was read before, though not looked at: the look is done again with its gaps. So whatever is handed
// out comes after all that is visible of its own transaction and of the earlier ones. It ends, for there are only as
// many owners as there were when the gaps were found.
func (r *reader) readGaps(ctx context.Context) (page, error) {
	for r.gaps.any() {
		if r.gaps.needWriters() {
			writers, err := readWriters(ctx, r.db)
			if err != nil {
				return page{}, err
			}
			r.gaps.setWriters(writers)
		}
		look := r.gaps.look(maxLooks)
		late, err := r.readLate(ctx, look)
		if err != nil {
			return page{}, err
		}
		again, err := r.ownersEnded(ctx)
		switch {
		case err != nil:
			return page{}, err
		case again:
			continue
		}
		r.endLook(len(look), late)
		return late, nil
	}
	return page{}, nil
}

func (r *reader) readLate(ctx context.Context, look []gap) (page, error) {
	if len(look) == 0 {
		return page{}, nil
	}
	return readLate(ctx, r.db, r.mark(), look, r.late)
}

// ownersEnded reports whether owners of gaps that were not looked at have ended to a snapshot which is later than all
// of this round.
func (r *reader) ownersEnded(ctx context.Context) (bool, error) {
	ended := false
	if watched := r.gaps.watched(); len(watched) > 0 {
		xids, err := readEnded(ctx, r.db, watched)
		if err != nil {
			return false, err
		}
		r.gaps.end(xids)
		ended = len(xids) > 0
	}
	if !r.gaps.takeSweep() {
		return ended, nil
	}
	_, err := r.sweep(ctx)
	return true, err
}

func (r *reader) endLook(looked int, late page) {
	readTo := int64(math.MaxInt64)
	if late.full(r.late) {
		readTo = late.events[len(late.events)-1].ID
	}
	r.late = r.late.after(late, r.max)
	ids := make([]int64, len(late.events))
	for i := range ids {
		ids[i] = late.events[i].ID
	}
	r.gaps.endLook(looked, ids, readTo)
}

// advance moves the head over fresh events and remembers the ids that are missing between them.
func (r *reader) advance(fresh []Event) {
	for i := range fresh {
		r.gaps.miss(r.head+1, fresh[i].ID-1)
		r.head = fresh[i].ID
		r.last = identityOf(&fresh[i])
	}
}

func (r *reader) forgetLanded() {
	r.flights = slices.DeleteFunc(r.flights, (*flight).landed)
	low := r.head + 1
	for _, f := range r.flights {
		low = min(low, f.ids[0])
	}
	r.low.Store(low)
	r.landed.Store(len(r.flights) == 0)
}

// sweep looks for events behind the head that have no receipt and that nobody has on hand, and returns how many it found; the
// next read delivers them. It should never find any: it is the net under the reader.
func (r *reader) sweep(ctx context.Context) (found int, err error) {
	for at := fromStart; ; {
		n, next, err := r.sweepStep(ctx, at)
		if found += n; err != nil || next == fromStart {
			return found, err
		}
		at = next
	}
}

// fromStart is where a sweep begins and ends: behind every id that is no event's.
const fromStart = int64(math.MinInt64)

// sweepStep does a part of a sweep, behind id after, that takes some ten milliseconds. It returns
// the id to go on behind, or fromStart at the end.
func (r *reader) sweepStep(ctx context.Context, after int64) (found int, next int64, err error) {
	// What is on its way is listed before the snapshots: an event that is settled later is known, one that was settled
	// before has a receipt or is gone.
	r.forgetLanded()
	parked := r.parked.snapshot()
	covered, err := readReceipts(ctx, r.db, r.table)
	if err != nil {
		return 0, after, err
	}
	all := behind(between(covered, r.head), after)
	look := all[:min(len(all), maxLooks)]
	events, err := readSweep(ctx, r.db, look, sweepPage)
	if err != nil {
		return 0, after, err
	}
	for _, each := range events {
		if !r.held.has(each.Key) && !r.aside.has(each.ID, each.Key) && !r.knows(each.ID, parked) {
			r.gaps.miss(each.ID, each.ID)
			found++
		}
	}
	switch {
	case len(events) == sweepPage:
		return found, events[len(events)-1].ID, nil
	case len(look) < len(all):
		return found, look[len(look)-1].last, nil
	}
	return found, fromStart, nil
}

func (r *reader) knows(id int64, parked map[int64]struct{}) bool {
	if _, ok := parked[id]; ok {
		return true
	}
	byID := func(event Event, id int64) int { return cmp.Compare(event.ID, id) }
	if _, held := slices.BinarySearchFunc(r.fresh.events, id, byID); held {
		return true
	}
	return slices.ContainsFunc(r.flights, func(f *flight) bool { return f.carries(id) }) || r.gaps.covers(id)
}

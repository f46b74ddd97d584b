package relay

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// maxGaps bounds the memory of the gaps that wait: 65,536 ranges are 2 MiB. They become that many only when
// transactions keep rolling back while another stays open for very long.
const maxGaps = 1 << 16

// gaps remembers the ids that the reader passed without seeing a row, until it is certain that none will ever come.
//
// An id is drawn before its transaction commits, so a missing id below a visible one is either lost for good (rolled
// back) or still to come. Whoever drew it is a writer: it held a lock on the sequence from before the draw to after
// the end of its transaction. So the owners of a gap are among the writers that are listed after it was found: a
// writer that comes later cannot have drawn its ids. Once all owners have ended, one more look at the gap decides.
//
// Each list of writers begins a round, counted from 1. A writer is known by the first round that listed it, a gap by
// the first round after it was found. A gap of round g can only belong to writers of rounds up to g, so both questions
// are comparisons of numbers: whether to look at the gap (a writer of round <= g has ended), and whether it is closed
// (no writer of round <= g is open). A gap costs no query while none of its owners ends.
//
// The snapshot that reads a gap decides whether an owner has ended, not the list: a commit is visible before its locks
// go. An owner without a known transaction id cannot be asked for, and its gaps are looked at each time.
type gaps struct {
	round   uint64
	writers map[string]openWriter // by virtual transaction
	found   []gap                 // since the last list; they belong to the next round
	unread  []gap                 // to be looked at
	waiting []gap                 // looked at, and to be looked at again when an owner ends; sorted by round
	// overflow is the last round of gaps that were given up because there were too many; 0 if none were. The safety
	// sweep looks for their rows each time one of their owners has ended, which sweepDue says.
	overflow uint64
	sweepDue bool
}

// gap is a range of ids without a visible row, both ends included.
type gap struct {
	first, last int64
	round       uint64
}

// heldWriter is a writer as sql/writers.sql lists it.
type heldWriter struct {
	Virtual string // virtual transaction
	XID     int64  // transaction id, 32 bits wide; 0 if it has none yet, or none any more
}

// openWriter is what is known of a writer.
type openWriter struct {
	since uint64 // the round that listed it first
	xid   int64  // 0 while it is not known
	ended bool   // to the snapshot of a statement; it may still be listed
}

func isOpen(w openWriter) bool    { return !w.ended }
func isUnknown(w openWriter) bool { return !w.ended && w.xid == 0 }

func newGaps() *gaps { return &gaps{writers: make(map[string]openWriter)} }

// any reports whether there is a gap whose fate is open.
func (g *gaps) any() bool {
	return g.len() > 0 || g.overflow > 0
}

// len returns the number of ranges whose fate is open.
func (g *gaps) len() int { return len(g.found) + len(g.unread) + len(g.waiting) }

// miss records that first..last were passed without a row.
func (g *gaps) miss(first, last int64) {
	if first <= last {
		g.found = append(g.found, gap{first: first, last: last})
	}
}

// needWriters reports whether a look needs a new list of writers: for gaps whose owners are not known yet, or for an
// owner without a known transaction id, which may have one now, or may have ended.
func (g *gaps) needWriters() bool {
	return len(g.found) > 0 || g.oldest(isUnknown) <= g.newestRound()
}

// oldest returns the earliest round of the writers that are such; math.MaxUint64 if none is.
func (g *gaps) oldest(such func(openWriter) bool) uint64 {
	oldest := uint64(math.MaxUint64)
	for _, w := range g.writers {
		if such(w) {
			oldest = min(oldest, w.since)
		}
	}
	return oldest
}

// newestRound returns the latest round of the gaps that wait for an owner.
func (g *gaps) newestRound() uint64 {
	newest := g.overflow
	if last := len(g.waiting) - 1; last >= 0 {
		newest = max(newest, g.waiting[last].round)
	}
	return newest
}

// setWriters takes a new list of writers, which begins a round. It may name a writer twice, see sql/writers.sql.
func (g *gaps) setWriters(list []heldWriter) {
	g.round++
	former := g.writers
	g.writers = make(map[string]openWriter, len(list))
	for _, held := range list {
		w, known := former[held.Virtual]
		switch {
		case known:
		case isPrepared(held.Virtual):
			w = formerSelf(held, former, g.round)
		default:
			w.since = g.round
		}
		if w.xid == 0 {
			w.xid = cmp.Or(held.XID, g.writers[held.Virtual].xid)
		}
		g.writers[held.Virtual] = w
	}
	g.ownersEnded(g.oldestGone(former))
	for _, each := range g.found {
		each.round = g.round
		g.unread = append(g.unread, each)
	}
	g.found = g.found[:0]
}

// oldestGone returns the earliest round of the open former writers that are no longer listed, under their name or as
// prepared transactions; math.MaxUint64 if all are.
func (g *gaps) oldestGone(former map[string]openWriter) uint64 {
	prepared := make(map[int64]bool)
	for name, w := range g.writers {
		if isPrepared(name) {
			prepared[w.xid] = true
		}
	}
	oldest := uint64(math.MaxUint64)
	for name, w := range former {
		if _, listed := g.writers[name]; !listed && isOpen(w) && (w.xid == 0 || !prepared[w.xid]) {
			oldest = min(oldest, w.since)
		}
	}
	return oldest
}

// formerSelf returns what is known of a transaction that was listed under another name before PREPARE TRANSACTION.
// Without its id at that time it may be any of those that had none.
func formerSelf(held heldWriter, former map[string]openWriter, round uint64) openWriter {
	w := openWriter{since: round}
	for _, each := range former {
		switch each.xid {
		case 0:
			w.since = min(w.since, each.since)
		case held.XID:
			return each
		}
	}
	return w
}

func isPrepared(virtualTransaction string) bool { return strings.HasPrefix(virtualTransaction, "-1/") }

// watched returns the transaction ids of the writers that may own a gap which is not to be looked at next. What a
// look returns may be handed out only if none of these has ended to its snapshot.
func (g *gaps) watched() []int64 {
	var xids []int64
	newest := g.newestRound()
	for _, w := range g.writers {
		if isOpen(w) && w.xid != 0 && w.since <= newest {
			xids = append(xids, w.xid)
		}
	}
	return xids
}

// end records that writers have ended, by their transaction ids.
func (g *gaps) end(xids []int64) {
	oldest := uint64(math.MaxUint64)
	for name, w := range g.writers {
		if isOpen(w) && w.xid != 0 && slices.Contains(xids, w.xid) {
			w.ended = true
			g.writers[name] = w
			oldest = min(oldest, w.since)
		}
	}
	g.ownersEnded(oldest)
}

// ownersEnded notes that an open writer of round since has ended.
func (g *gaps) ownersEnded(since uint64) {
	g.takeUp(since)
	g.sweepDue = g.sweepDue || since <= g.overflow
}

// takeUp marks the gaps as unread that may belong to a writer of round since.
func (g *gaps) takeUp(since uint64) {
	at, _ := slices.BinarySearchFunc(g.waiting, since, func(each gap, round uint64) int { return cmp.Compare(each.round, round) })
	g.unread = append(g.unread, g.waiting[at:]...)
	g.waiting = g.waiting[:at]
}

// look returns the gaps to look at, ordered by id: those of unknown owners and about limit others. There may be more,
// which come after them. Gaps that were given up are not among them, so for those an unknown owner has ended only once
// it is no longer listed. The caller reads them and then calls [gaps.endLook].
func (g *gaps) look(limit int) []gap {
	unknown := g.oldest(isUnknown)
	g.takeUp(unknown)
	for _, each := range g.unread {
		if each.round >= unknown {
			limit++
		}
	}
	slices.SortFunc(g.unread, func(a, b gap) int { return cmp.Compare(a.first, b.first) })
	return g.unread[:min(limit, len(g.unread))]
}

// endLook ends a look at the first looked gaps that look returned: seen holds the ids of the rows that were found in
// them, in order; readTo is the id up to which the look was complete (math.MaxInt64 when no limit cut it short).
func (g *gaps) endLook(looked int, seen []int64, readTo int64) {
	oldest := g.oldest(isOpen)
	before := max(0, len(g.waiting)-1)
	var cut []gap
	for _, each := range g.unread[:looked] {
		for _, rest := range each.without(seen) {
			switch {
			case rest.last > readTo:
				cut = append(cut, rest)
			case rest.round >= oldest:
				g.waiting = append(g.waiting, rest)
			}
		}
	}
	g.unread = append(cut, g.unread[looked:]...)
	byRound := func(a, b gap) int { return cmp.Compare(a.round, b.round) }
	if !slices.IsSortedFunc(g.waiting[before:], byRound) {
		slices.SortStableFunc(g.waiting, byRound)
	}
	g.shed()
}

// cut reports whether the last look left gaps that it should have read.
func (g *gaps) cut() bool { return len(g.unread) > 0 }

// unreadFrom returns the least id of the gaps that the last look should have read and left; math.MaxInt64 if there is
// none. No later row may be handed out before they are read.
func (g *gaps) unreadFrom() int64 {
	if !g.cut() {
		return math.MaxInt64
	}
	return g.unread[0].first // look has sorted them
}

// without returns what is left of a gap after the ids in seen, which are sorted, got their rows.
func (each gap) without(seen []int64) []gap {
	var rest []gap
	next := each.first
	for at, _ := slices.BinarySearch(seen, each.first); at < len(seen) && seen[at] <= each.last; at++ {
		if seen[at] > next {
			rest = append(rest, gap{first: next, last: seen[at] - 1, round: each.round})
		}
		next = seen[at] + 1
	}
	if next <= each.last {
		rest = append(rest, gap{first: next, last: each.last, round: each.round})
	}
	return rest
}

// shed gives the gaps that wait up to the sweep when they have become too many. Those that were never looked at stay:
// at the beginning of a session they are all that lies between the receipts.
func (g *gaps) shed() {
	if len(g.waiting) > maxGaps {
		g.waiting = nil
		g.overflow = g.round
	}
}

// takeSweep reports, once, that the sweep must look for rows in the gaps that were given up: an owner has ended.
func (g *gaps) takeSweep() bool {
	due := g.sweepDue
	g.sweepDue = false
	if due && g.oldest(isOpen) > g.overflow {
		g.overflow = 0
	}
	return due
}

// covers reports whether id lies in a gap, so that the sweep leaves it to the reader.
func (g *gaps) covers(id int64) bool {
	inside := func(each gap) bool { return each.first <= id && id <= each.last }
	return slices.ContainsFunc(g.found, inside) || slices.ContainsFunc(g.unread, inside) || slices.ContainsFunc(g.waiting, inside)
}

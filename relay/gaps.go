package relay

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// maxGaps bounds the memory of the gaps: 65,536 ranges are 2 MiB. They become that many only when transactions keep rolling
// back while another stays open for very long.
const maxGaps = 1 << 16

// gaps remembers the ids that the reader passed without seeing a row, until it is certain that none will ever come.
//
// An id is drawn before its transaction commits, so a missing id below a visible one is either lost for good (rolled back)
// or still to come. Whoever drew it held a lock on the sequence, from before the draw to after the end of its transaction.
// So the rule is: look at the lock's holders after the gap was found; once all of those are gone, one more look at
// the gap decides. Holders that came later cannot have drawn it.
//
// Each look at the holders is a round, counted from 1. A holder is known by the first round that saw it, a gap by the first
// round after it was found. A gap of round g can only belong to holders of rounds up to g, which makes both
// questions comparisons of numbers: whether to look at the gap again (a holder of round <= g has gone), and whether it is
// closed (none of round <= g is left). A gap costs no query while nothing that concerns it changes.
type gaps struct {
	round   uint64
	holders map[string]uint64 // virtual transaction -> round in which it was first seen
	found   []gap             // since the last round; they belong to the next one
	unread  []gap             // to be looked at
	waiting []gap             // looked at, and to be looked at again when a holder goes; sorted by round
	// overflow is the last round of gaps that were given up because there were too many; 0 if none were. The safety sweep
	// takes their place once the holders of those rounds are gone.
	overflow uint64
}

// gap is a range of ids without a visible row, both ends included.
type gap struct {
	first, last int64
	round       uint64
}

func newGaps() *gaps { return &gaps{holders: make(map[string]uint64)} }

// any reports whether there is a gap whose fate is open, so that a round is worth its query.
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

// nextRound takes a fresh list of the lock's holders, starts a round, and returns the gaps that the statement after it must look
// at, at most limit of them, ordered by id. The caller reads them and then calls [gaps.endRound].
func (g *gaps) nextRound(holders []string, limit int) []gap {
	g.round++
	oldestGone := g.replaceHolders(holders)
	for _, each := range g.found {
		each.round = g.round
		g.unread = append(g.unread, each)
	}
	g.found = g.found[:0]
	at, _ := slices.BinarySearchFunc(g.waiting, oldestGone, func(each gap, round uint64) int { return cmp.Compare(each.round, round) })
	g.unread = append(g.unread, g.waiting[at:]...)
	g.waiting = g.waiting[:at]
	g.shed()

	slices.SortFunc(g.unread, func(a, b gap) int { return cmp.Compare(a.first, b.first) })
	return g.unread[:min(limit, len(g.unread))]
}

// replaceHolders forgets the holders that are gone, adds the new ones, and returns the earliest round of those that are gone.
func (g *gaps) replaceHolders(holders []string) (oldestGone uint64) {
	oldestGone = math.MaxUint64
	present := make(map[string]uint64, len(holders))
	for _, holder := range holders {
		present[holder] = g.round
	}
	for holder, round := range g.holders {
		if _, ok := present[holder]; ok {
			present[holder] = round
		} else {
			oldestGone = min(oldestGone, round)
		}
	}
	for holder, round := range present {
		if isPrepared(holder) && round == g.round {
			// PREPARE TRANSACTION hands the lock over to a new name: it may be any of those that have just gone.
			present[holder] = min(round, oldestGone)
		}
	}
	g.holders = present
	return oldestGone
}

func isPrepared(virtualTransaction string) bool { return strings.HasPrefix(virtualTransaction, "-1/") }

// cut reports whether the last round left gaps that it should have looked at.
func (g *gaps) cut() bool { return len(g.unread) > 0 }

// oldestHolder returns the earliest round of the present holders; all gaps of earlier rounds are decided.
func (g *gaps) oldestHolder() uint64 {
	oldest := uint64(math.MaxUint64)
	for _, round := range g.holders {
		oldest = min(oldest, round)
	}
	return oldest
}

// endRound ends a round of which nextRound returned the first looked gaps: seen holds the ids of the rows that were found in
// them, in order; readTo is the id up to which the look was complete (math.MaxInt64 when no limit cut it short).
func (g *gaps) endRound(looked int, seen []int64, readTo int64) {
	oldest := g.oldestHolder()
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

// shed gives the gaps that wait up to the sweep when they have become too many. Those that were never looked at stay: at
// the beginning of a session they are all that lies between the receipts.
func (g *gaps) shed() {
	if len(g.waiting) > maxGaps {
		g.waiting = nil
		g.overflow = g.round
	}
}

// takeOverflow reports, once, that the sweep must look for what was given up: the holders of those rounds are gone.
func (g *gaps) takeOverflow() bool {
	if g.overflow == 0 || g.oldestHolder() <= g.overflow {
		return false
	}
	g.overflow = 0
	return true
}

// covers reports whether id lies in a gap, so that the sweep leaves it to the reader.
func (g *gaps) covers(id int64) bool {
	inside := func(each gap) bool { return each.first <= id && id <= each.last }
	return slices.ContainsFunc(g.found, inside) || slices.ContainsFunc(g.unread, inside) || slices.ContainsFunc(g.waiting, inside)
}

package relay

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// identity names an event for settling: the row's id and what must stand in the row.
type identity struct {
	id      int64
	eventID outbox.ID
}

func identityOf(event *Event) identity { return identity{id: event.ID, eventID: event.EventID} }

// deadLetter is an event that will never be published, and why.
type deadLetter struct {
	identity
	from                    *flight // see settlement
	reason                  Reason
	text                    string
	attempts                int
	firstFailed, lastFailed time.Time
}

// maxErrorText is the most bytes of an error that a dead letter keeps.
const maxErrorText = 4 << 10

// newDeadLetter takes an error's text as Postgres can store it: valid UTF-8 without NUL, and not endless.
func newDeadLetter(event identity, from *flight, reason Reason, cause error, failed failures) deadLetter {
	text := strings.ReplaceAll(cause.Error(), "\x00", "")
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	return deadLetter{
		identity: event, from: from, reason: reason, text: strings.ToValidUTF8(text, "?"),
		attempts: failed.attempts, firstFailed: failed.first, lastFailed: failed.last,
	}
}

// size returns about how many bytes of memory a dead letter takes.
func (d *deadLetter) size() int { return 128 + len(d.text) }

// settlement is the news that the publish loop has for the settle loop.
type settlement struct {
	stored   []identity
	highest  uint64 // the highest sequence of the stored events; 0 if the broker told none
	untold   bool   // the broker has not told the sequence of some
	earliest uint64 // the least sequence of those that the broker had already; 0 if it told none
	rehomed  int    // how many of the stored events a fallback got first
	dead     []deadLetter
	from     *flight // the batch of the events; nil if they come from lanes
}

// add notes a stored event.
func (s *settlement) add(event *Event, outcome *Outcome) {
	s.stored = append(s.stored, identityOf(event))
	s.highest = max(s.highest, outcome.Sequence)
	s.untold = s.untold || outcome.Sequence == 0
	s.rehomed += count(event.Rehomed)
	if outcome.Duplicate && outcome.Sequence > 0 && (s.earliest == 0 || outcome.Sequence < s.earliest) {
		s.earliest = outcome.Sequence
	}
}

// flight is the ids of a batch between reading and settling. The safety sweep must not take them for forgotten.
type flight struct {
	ids  []int64 // sorted
	mu   sync.Mutex
	left int // events not yet settled or parked
}

func newFlight(events []Event) *flight {
	f := &flight{ids: make([]int64, len(events)), left: len(events)}
	for i := range events {
		f.ids[i] = events[i].ID
	}
	return f
}

// land records that n more events of the batch are settled or parked.
func (f *flight) land(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left -= n
}

func (f *flight) landed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left <= 0
}

func (f *flight) carries(id int64) bool {
	_, found := slices.BinarySearch(f.ids, id)
	return found
}

// batch is one snapshot of the table on its way to the broker.
type batch struct {
	page
	flight *flight
}

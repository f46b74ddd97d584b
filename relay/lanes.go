package relay

import (
	"container/heap"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxParked bounds the events that wait in lanes, each of which is tried again by itself. What
// comes beyond is set aside, see [aside].
const maxParked = 2000

// failures counts what happened to the first event of a lane.
type failures struct {
	attempts    int
	first, last time.Time
	doubt       time.Duration // the first Publish, by sinceBoot, after which it may be stored nevertheless; 0 for none
}

// again returns the failures with one more at now; spends says whether it counts as an attempt.
func (f failures) again(now time.Time, spends bool) failures {
	f.attempts += count(spends)
	if f.first.IsZero() {
		f.first = now
	}
	f.last = now
	return f
}

// lane holds the events of one key that wait because its first event failed: order within the key is kept, and
// everything else flows. An event without a key has a lane of its own.
type lane struct {
	name    string
	key     string
	subject string  // of its first event when it was opened
	ids     []int64 // sorted; payloads are read again when it is their turn
	failed  failures
	backoff *backoff.ExponentialBackOff
	due     time.Time
	at      int // index in the heap
}

// lanes are all the keys that wait, the next one due first. The publish loop owns them.
type lanes struct {
	byName     map[string]*lane
	subjects   map[string]int // of lanes
	byDue      dueHeap
	parked     *parkedIDs
	events     int // in all lanes
	newBackoff func() *backoff.ExponentialBackOff
}

func newLanes(parked *parkedIDs, newBackoff func() *backoff.ExponentialBackOff) *lanes {
	return &lanes{byName: make(map[string]*lane), subjects: make(map[string]int), parked: parked, newBackoff: newBackoff}
}

func laneName(event *Event) string {
	if event.Key != "" {
		return "k" + event.Key
	}
	return "i" + strconv.FormatInt(event.ID, 10)
}

func (l *lanes) empty() bool { return len(l.byName) == 0 }
func (l *lanes) full() bool  { return l.parked.len() >= maxParked }

// waits reports whether the event's key waits, so that the event must queue up behind it.
func (l *lanes) waits(event *Event) bool {
	if l.empty() || event.Key == "" {
		return false
	}
	_, ok := l.byName[laneName(event)]
	return ok
}

// queue puts an event behind those of its key that wait already.
func (l *lanes) queue(event *Event) {
	each := l.byName[laneName(event)]
	at, there := slices.BinarySearch(each.ids, event.ID)
	if !there {
		each.ids = slices.Insert(each.ids, at, event.ID)
		l.events++
		l.parked.add(event.ID)
	}
}

// open makes a lane for an event that has just failed.
func (l *lanes) open(event *Event) *lane {
	each := &lane{name: laneName(event), key: strings.Clone(event.Key), subject: strings.Clone(event.Subject), ids: []int64{event.ID}, backoff: l.newBackoff(), due: time.Now()}
	l.byName[each.name] = each
	l.subjects[each.subject]++
	heap.Push(&l.byDue, each)
	l.events++
	l.parked.add(event.ID)
	return each
}

// of returns the lane of an event, or nil.
func (l *lanes) of(event *Event) *lane { return l.byName[laneName(event)] }

// fail postpones a lane whose first event failed.
func (l *lanes) fail(each *lane, failed failures, cause error) {
	each.failed = failed
	wait := each.backoff.NextBackOff()
	switch asked := retryAfter(cause); {
	case asked > 0:
		wait = asked
	case errors.Is(cause, ErrMisconfigured):
		wait = min(wait, misconfiguredPause) // so that it goes out soon after an operator's change
	}
	l.postpone(each, failed.last.Add(wait))
}

// hurry makes every lane due: the broker has recovered, and what it refused meanwhile need not wait for its backoff.
func (l *lanes) hurry(now time.Time) {
	for _, each := range l.byDue {
		each.due = now
	}
}

func (l *lanes) postpone(each *lane, due time.Time) {
	each.due = due
	heap.Fix(&l.byDue, each.at)
}

// leave takes an event out of its lane: it was stored, buried, or is no longer in the table. The id stays parked
// until it is settled.
func (l *lanes) leave(each *lane, id int64) {
	if at, found := slices.BinarySearch(each.ids, id); found {
		each.ids = slices.Delete(each.ids, at, at+1)
		l.events--
	}
	each.failed = failures{}
	each.backoff.Reset()
	if len(each.ids) == 0 {
		l.remove(each)
	}
}

func (l *lanes) remove(each *lane) {
	heap.Remove(&l.byDue, each.at)
	delete(l.byName, each.name)
	if l.subjects[each.subject]--; l.subjects[each.subject] == 0 {
		delete(l.subjects, each.subject)
	}
}

// drop takes a lane away with all its events.
func (l *lanes) drop(each *lane) {
	for _, id := range each.ids {
		l.parked.remove(id)
	}
	l.events -= len(each.ids)
	l.remove(each)
}

// cut takes the events behind id out of a lane, for good, and returns how many they were.
func (l *lanes) cut(each *lane, id int64) int {
	at, found := slices.BinarySearch(each.ids, id)
	at += count(found)
	later := each.ids[at:]
	for _, id := range later {
		l.parked.remove(id)
	}
	each.ids = each.ids[:at]
	l.events -= len(later)
	return len(later)
}

// nextDue returns when the next lane is due; false if none waits.
func (l *lanes) nextDue() (time.Time, bool) {
	if len(l.byDue) == 0 {
		return time.Time{}, false
	}
	return l.byDue[0].due, true
}

// takeDue returns the lanes that are due and the ids of their events, whole lanes up to about max events. Each is
// postponed a little, and is put right by what becomes of it.
func (l *lanes) takeDue(now time.Time, max int) (ids []int64, taken map[string]*lane) {
	taken = make(map[string]*lane)
	for len(l.byDue) > 0 && !l.byDue[0].due.After(now) && len(ids) < max {
		each := l.byDue[0]
		if _, again := taken[each.name]; again {
			break
		}
		taken[each.name] = each
		ids = append(ids, each.ids[:min(len(each.ids), max-len(ids))]...)
		l.postpone(each, now.Add(time.Millisecond))
	}
	slices.Sort(ids)
	return ids, taken
}

// dueHeap orders lanes by when they are due; see container/heap.
type dueHeap []*lane

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is part of container/heap.
func (h *dueHeap) Push(x any) {
	each := x.(*lane) //nolint:forcetypeassert // the heap holds nothing else
	each.at = len(*h)
	*h = append(*h, each)
}

// Pop is part of container/heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	each := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return each
}

// parkedIDs are the ids of events in lanes, until they are settled. The publish loop, the settle loop and the sweep share it.
type parkedIDs struct {
	mu  sync.Mutex
	ids map[int64]struct{}
}

func newParkedIDs() *parkedIDs { return &parkedIDs{ids: make(map[int64]struct{})} }

func (p *parkedIDs) add(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids[id] = struct{}{}
}

func (p *parkedIDs) remove(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ids, id)
}

func (p *parkedIDs) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ids)
}

func (p *parkedIDs) snapshot() map[int64]struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := make(map[int64]struct{}, len(p.ids))
	for id := range p.ids {
		copied[id] = struct{}{}
	}
	return copied
}

// before returns how many ids are lower than low, and the least of them; 0 if there is none.
func (p *parkedIDs) before(low int64) (n int, least int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.ids {
		if id < low {
			if n++; n == 1 || id < least {
				least = id
			}
		}
	}
	return n, least
}

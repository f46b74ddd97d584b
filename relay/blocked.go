package relay

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"time"
)

// blockedCost is what one blocked event may cost a second, at most: where many are blocked, each is
// tried less often.
const blockedCost = 100 * time.Microsecond

// blocked are the events of lanes whose first event the broker does not take before an operator
// changes something, such as one with a subject that the stream does not capture. Their example
// stays the same one for as long as it is blocked.
type blocked struct {
	events  int
	of      *lane // the lane of the example; nil for none
	example Blocked
}

// now returns what status says; nil if nothing is blocked.
func (b *blocked) now() *Blocked {
	if b.events == 0 {
		return nil
	}
	said := Blocked{Events: b.events}
	if b.of != nil {
		said = b.example
		said.Events = b.events
	}
	return &said
}

// mark notes why the first event of a lane failed.
func (l *lanes) mark(each *lane, event *Event, cause error) {
	if !errors.Is(cause, ErrMisconfigured) {
		l.unblock(each)
		return
	}
	if !each.blocked {
		each.blocked = true
		l.blocked.events += len(each.ids)
	}
	if l.blocked.of == nil || l.blocked.of == each {
		l.blocked.of = each
		l.blocked.example = Blocked{ID: event.ID, Subject: event.Subject, Error: cause.Error()}
	}
}

// unblock notes that a lane does not wait for an operator, or not any more.
func (l *lanes) unblock(each *lane) {
	if !each.blocked {
		return
	}
	each.blocked = false
	l.blocked.events -= len(each.ids)
	if l.blocked.of == each {
		l.blocked.of = nil
	}
}

// hurryBlocked makes every blocked lane due: an operator has changed something.
func (l *lanes) hurryBlocked(now time.Time) {
	for _, each := range l.byDue {
		if each.blocked {
			each.due = now
		}
	}
	heap.Init(&l.byDue)
}

// wait returns how long a lane waits after a failure: its backoff, or what the broker asked for.
// One that is blocked is tried every few seconds, so that its events go out soon after the
// operator's change.
func (l *lanes) wait(each *lane, cause error) time.Duration {
	if asked := retryAfter(cause); asked > 0 {
		return asked
	}
	wait := each.backoff.NextBackOff()
	if each.blocked {
		most := max(misconfiguredPause, time.Duration(l.blocked.events)*blockedCost)
		wait = min(wait, most/2+rand.N(most/2)) //nolint:gosec // no secret
	}
	return wait
}

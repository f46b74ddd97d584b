package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxSamples is how many subjects of what is set aside are remembered, and tried again.
	maxSamples = 256
	// sampleTries is how many samples are tried at once. A refusal can cost the broker's answer.
	sampleTries = 16
	// sampleWait is the first pause before samples are tried again; the longest is
	// misconfiguredPause, so that events go out soon after an operator's change.
	sampleWait = 100 * time.Millisecond
	// releaseCost is what an event that was set aside costs at most when everything is read again.
	// In each session as much time is left to others before that happens.
	releaseCost = 50 * time.Microsecond
)

// aside are the events that the broker does not take before something changes that is not theirs,
// such as those whose subject the stream does not capture, and the later ones of their keys. Their
// rows stay in the table, and of each key only a hash is kept, see [crowd], so millions cost little.
// Now and then one of each subject is tried. When it is stored, everything is read again by a new
// session. The publish loop owns it; the sweep and the measurement of the backlog read it.
type aside struct {
	mu      sync.Mutex
	waiting *crowd
	events  int
	least   int64 // the least id; 0 for none

	samples  []sample // the first events of their keys
	at       int      // the next sample to try
	due      time.Time
	backoff  *backoff.ExponentialBackOff
	doubt    time.Duration // the first Publish, by sinceBoot, after which a sample may be stored nevertheless; 0 for none
	began    time.Time     // of the session
	overflow bool          // some are here only because the lanes were full: they are read again when there is room
	released bool          // everything is to be read again
}

// sample is an event that is tried again for all that wait as it does.
type sample struct {
	id      int64
	keyed   bool
	subject string
	cause   string
}

func newAside(pauses func() *backoff.ExponentialBackOff) *aside {
	a := &aside{waiting: newCrowd(), began: time.Now(), backoff: pauses()}
	a.backoff.InitialInterval, a.backoff.MaxInterval = sampleWait, misconfiguredPause
	a.backoff.Reset()
	return a
}

// has reports whether an event, or an earlier one of its key, is set aside.
func (a *aside) has(id int64, key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.events > 0 && a.waiting.has(id, key)
}

// count returns how many events are set aside, and their least id; 0 for none.
func (a *aside) count() (events int, least int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.events, a.least
}

// add sets an event aside. If sampled it may be tried for others.
func (a *aside) add(event *Event, cause error, sampled bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	behind := a.waiting.has(event.ID, event.Key)
	a.waiting.add(event.ID, event.Key)
	a.note(event.ID)
	if behind || !sampled {
		return
	}
	a.sample(sample{
		id: event.ID, keyed: event.Key != "", subject: strings.Clone(event.Subject), cause: cause.Error(),
	})
}

// follow sets later events of a key aside, by their ids. The first one is set aside too, or waits in a lane.
func (a *aside) follow(key string, ids ...int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		a.waiting.add(id, key)
		a.note(id)
	}
}

func (a *aside) note(id int64) {
	a.events++
	if a.least == 0 || id < a.least {
		a.least = id
	}
}

func (a *aside) sample(s sample) {
	if len(a.samples) >= maxSamples {
		return
	}
	for _, each := range a.samples {
		if each.subject == s.subject {
			return
		}
	}
	if len(a.samples) == 0 {
		a.backoff.Reset()
		a.postpone(time.Now())
	}
	a.samples = append(a.samples, s)
}

// postpone waits before the next samples are tried.
func (a *aside) postpone(now time.Time) {
	wait := a.backoff.NextBackOff()
	a.due = now.Add(wait/2 + rand.N(wait/2)) //nolint:gosec // no secret
}

// hurry makes the samples due: the broker has recovered.
func (a *aside) hurry(now time.Time) { a.due = now }

// nextDue returns when samples are to be tried, or everything is to be read again; false if nothing
// is set aside.
func (a *aside) nextDue() (time.Time, bool) {
	switch {
	case a.released:
		return a.began.Add(time.Duration(a.events) * releaseCost), true
	case len(a.samples) > 0:
		return a.due, true
	}
	return time.Time{}, false
}

// take returns the ids of the samples to try now, and puts the next ones off.
func (a *aside) take(now time.Time) []int64 {
	var ids []int64
	for range min(sampleTries, len(a.samples)) {
		a.at = (a.at + 1) % len(a.samples)
		ids = append(ids, a.samples[a.at].id)
	}
	a.postpone(now)
	return ids
}

// refused notes why a sample still waits.
func (a *aside) refused(id int64, cause error) {
	for i := range a.samples {
		if a.samples[i].id == id {
			a.samples[i].cause = cause.Error()
		}
	}
}

// leave takes a sample out that was stored, buried, or is no longer in the table. What waits behind
// it or as it did is read again.
func (a *aside) leave(id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, each := range a.samples {
		if each.id != id {
			continue
		}
		a.samples = slices.Delete(a.samples, i, i+1)
		if a.events--; !each.keyed {
			a.waiting.remove(each.id)
		}
		break
	}
	if a.released = a.events > 0; !a.released {
		a.waiting = newCrowd()
		a.least, a.overflow, a.doubt = 0, false, 0
	}
}

// status returns what an operator is told; nil if nothing is set aside.
func (a *aside) status() *Blocked {
	switch {
	case a.events == 0:
		return nil
	case len(a.samples) == 0:
		return &Blocked{Events: a.events}
	}
	first := a.samples[0]
	return &Blocked{Events: a.events, ID: first.id, Subject: first.subject, Error: first.cause}
}

// errReleased ends a session whose events that were set aside may be taken now.
var errReleased = fmt.Errorf("%w: events that were set aside may be taken now", errAgain)

// standsAside reports whether an event that was refused waits without a lane: for an operator, or
// because too many wait in lanes. One that may be stored nevertheless does not.
func (d *dispatcher) standsAside(cause error, failed failures) bool {
	return failed.doubt == 0 && (errors.Is(cause, ErrMisconfigured) || d.lanes.full())
}

// setAside sets an event aside, and what waits behind it in a lane.
func (d *dispatcher) setAside(event *Event, waiting *lane, cause error) {
	overflow := !errors.Is(cause, ErrMisconfigured)
	d.aside.add(event, cause, !overflow || d.lanes.subjects[event.Subject] == 0)
	d.aside.overflow = d.aside.overflow || overflow
	if waiting != nil {
		d.aside.follow(event.Key, waiting.ids[1:]...)
		d.lanes.drop(waiting)
	}
}

// passAside leaves the events in the table that wait behind one that was set aside, and returns the
// others.
func (d *dispatcher) passAside(pending []Event, from *flight) []Event {
	if events, _ := d.aside.count(); events == 0 {
		return pending
	}
	before := len(pending)
	pending = slices.DeleteFunc(pending, func(event Event) bool {
		if event.Key == "" || !d.aside.has(event.ID, event.Key) {
			return false
		}
		d.aside.follow(event.Key, event.ID)
		return true
	})
	if passed := before - len(pending); passed > 0 {
		from.land(passed)
		d.noteDelayed()
	}
	return pending
}

// noteDelayed tells how many events wait, and why.
func (d *dispatcher) noteDelayed() {
	events, _ := d.aside.count()
	d.track.delayed(d.lanes.events + events)
	d.track.blocked(d.aside.status())
}

// leaveLane takes an event out of its lane. Where later events of its key were set aside because the
// lanes were full, they are read again after the last one.
func (d *dispatcher) leaveLane(each *lane, id int64) {
	d.lanes.leave(each, id)
	if len(each.ids) == 0 && each.key != "" && d.aside.has(id, each.key) {
		d.aside.released = true
	}
}

// trySamples publishes some of what is set aside, for all that waits as they do.
func (d *dispatcher) trySamples(ctx, publishing context.Context) {
	if d.aside.released {
		d.again = errReleased
		return
	}
	if !d.awaitFence(ctx, publishing) || d.tooLate(d.aside.doubt) {
		return
	}
	d.progress.work(databaseLimit)
	ids := d.aside.take(time.Now())
	slices.Sort(ids)
	p, ok := d.readWaiting(ctx, ids)
	if !ok {
		return
	}
	for _, id := range d.missing(ids, p) {
		d.aside.leave(id)
	}
	if len(p.events) == 0 {
		d.noteDelayed()
		return
	}
	d.track.retried(len(p.events))
	outcomes, err := d.publish(publishing, p.events)
	d.accountSamples(p.events, outcomes, err)
	d.react(ctx, err, unknown(outcomes), len(p.events))
}

// accountSamples sends what was decided on samples to the settle loop.
func (d *dispatcher) accountSamples(events []Event, outcomes []Outcome, failure error) {
	now := time.Now()
	var news settlement
	duplicates := 0
	for i := range events {
		event, outcome := &events[i], &outcomes[i]
		var permanent *PermanentError
		switch {
		case outcome.Stored:
			news.add(event, outcome)
			d.metrics.endToEnd.Observe(d.clock.age(event.CreatedAt, now).Seconds())
			duplicates += count(outcome.Duplicate && !outcome.Repeated)
		case errors.As(outcome.Err, &permanent):
			failed := failures{first: now, last: now}
			d.giveUp(event, newDeadLetter(identityOf(event), nil, permanent.Reason, permanent.Err, failed), &news)
		case outcome.Err != nil:
			if errors.As(outcome.Err, new(*AmbiguousError)) && d.aside.doubt == 0 {
				d.aside.doubt = d.began
			}
			d.aside.refused(event.ID, outcome.Err)
			d.track.eventFailed(event, 0, outcome.Err)
			continue
		default:
			if failure != nil && d.aside.doubt == 0 {
				d.aside.doubt = d.began
			}
			continue
		}
		d.lanes.parked.add(event.ID)
		d.aside.leave(event.ID)
	}
	d.send(news, duplicates, now)
	d.noteDelayed()
}

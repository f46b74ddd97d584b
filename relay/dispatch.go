package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// brokerPauseMax is the longest pause before a broker that is out is tried again. A try is cheap, and what waits is
	// the game's events.
	brokerPauseMax = time.Second
	// misconfiguredPause is the pause before a broker is tried again that needs an operator.
	misconfiguredPause = 5 * time.Second
)

// errUnanswered stands in for a publisher that says neither what became of an event nor why.
var errUnanswered = errors.New("the broker gave no answer for some events")

// dispatcher is the publish loop: one Publish at a time, in order. Here, and only here, it is decided what an outcome
// leads to.
type dispatcher struct {
	cfg       Config
	publisher Publisher
	ledger    Ledger                                               // of the publisher; nil if it has none
	reread    func(ctx context.Context, ids []int64) (page, error) // reads what waited in lanes
	track     *tracker
	metrics   *metrics
	clock     *clock
	lanes     *lanes
	aside     *aside
	held      *heldKeys
	out       chan<- settlement
	progress  *progress
	limit     time.Duration // of one Publish

	size      int // the most events of the next Publish: halved by ambiguous failures, doubled by success
	backoff   *backoff.ExponentialBackOff
	lastStore time.Time // when the broker last stored an event
	again     error     // why nothing more may be published in this session
	// trust is for how long after a failure the same events may be sent again: the broker drops those that it has stored after
	// all, but only while it remembers their ids. 0 means for ever.
	trust time.Duration
	began time.Duration // the last Publish, by sinceBoot
	doubt time.Duration // the first Publish of the events at hand that failed; 0 if none did
}

// run publishes the batches until in is closed or ctx ends. A Publish under way is finished on the context publishing, which
// outlives ctx by a part of the shutdown timeout. It returns an error when the session has to begin anew.
func (d *dispatcher) run(ctx, publishing context.Context, in <-chan batch) error {
	defer d.progress.idle()
	for ctx.Err() == nil && d.again == nil {
		wake := d.retry(ctx, publishing)
		if d.again != nil {
			break
		}
		d.progress.idle()
		select {
		case <-ctx.Done():
		case <-wake:
		case b, open := <-in:
			if !open {
				return nil
			}
			d.publishBatch(ctx, publishing, b)
		}
	}
	return d.again
}

// publishBatch publishes a batch until each event is stored, buried or in a lane, or until ctx ends.
func (d *dispatcher) publishBatch(ctx, publishing context.Context, b batch) {
	d.progress.work(memoryLimit)
	pending := d.buryBroken(b)
	for len(pending) > 0 && ctx.Err() == nil && d.again == nil {
		if pending = d.queueBehind(d.passAside(d.passHeld(pending, b.flight), b.flight), b.flight); len(pending) == 0 {
			return
		}
		if !d.awaitFence(ctx, publishing) || d.tooLate(d.doubt) {
			return
		}
		chunk := pending[:min(len(pending), d.size)]
		outcomes, err := d.publish(publishing, chunk)
		left := d.account(chunk, outcomes, b.flight)
		pending = pending[len(chunk)-left:]
		d.react(ctx, err, left, len(chunk))
	}
}

// tooLate reports whether events that failed first in a Publish which began at since can no longer just be sent again. Then a new session
// looks into the stream first, whether it has stored them.
func (d *dispatcher) tooLate(since time.Duration) bool {
	ago := sinceBoot() - since
	if d.trust == 0 || since == 0 || ago < d.trust {
		return false
	}
	d.again = fmt.Errorf("%w: the stream may have stored events of which it has told nothing for %s", errAgain, ago.Round(time.Millisecond))
	return true
}

// passHeld leaves the events of held keys in the table, and returns the others.
func (d *dispatcher) passHeld(pending []Event, from *flight) []Event {
	if keys, _ := d.held.count(); keys == 0 {
		return pending
	}
	before := len(pending)
	pending = slices.DeleteFunc(pending, func(event Event) bool { return d.held.has(event.Key) })
	if passed := before - len(pending); passed > 0 {
		d.held.pass(passed)
		from.land(passed)
	}
	return pending
}

// buryBroken takes the events out that could not even be read.
func (d *dispatcher) buryBroken(b batch) []Event {
	if len(b.broken) == 0 {
		return b.events
	}
	now := time.Now()
	var dead []deadLetter
	pending := slices.DeleteFunc(b.events, func(event Event) bool {
		cause, broken := b.broken[event.ID]
		if broken {
			dead = append(dead, newDeadLetter(identityOf(&event), b.flight, cause.Reason, cause.Err, failures{first: now, last: now}))
		}
		return broken
	})
	d.emit(settlement{dead: dead, from: b.flight})
	return pending
}

// queueBehind puts events whose key waits behind those that wait, and returns the others.
func (d *dispatcher) queueBehind(pending []Event, from *flight) []Event {
	if d.lanes.empty() {
		return pending
	}
	queued := 0
	pending = slices.DeleteFunc(pending, func(event Event) bool {
		if !d.lanes.waits(&event) {
			return false
		}
		d.queue(&event)
		queued++
		return true
	})
	if queued > 0 {
		d.noteDelayed()
		from.land(queued)
	}
	return pending
}

// queue puts an event behind those of its key that wait in a lane; where the lanes are full, in the table alone.
func (d *dispatcher) queue(event *Event) {
	if d.lanes.full() {
		d.aside.follow(event.Key, event.ID)
		return
	}
	d.lanes.queue(event)
}

// publish calls the publisher, with its answer put into the form that the contract promises.
func (d *dispatcher) publish(ctx context.Context, events []Event) ([]Outcome, error) {
	d.began = sinceBoot()
	if ctx.Err() == nil && !MaySend(ctx) {
		return make([]Outcome, len(events)), ErrLeaseLost
	}
	d.progress.work(d.limit)
	outcomes, err := d.publisher.Publish(ctx, events)
	d.progress.work(memoryLimit)
	d.metrics.publishTime.Observe((sinceBoot() - d.began).Seconds())
	if len(outcomes) != len(events) {
		outcomes = make([]Outcome, len(events))
	}
	if failed := d.compare(ctx, events, outcomes); failed != nil && stateOf(err) == BrokerOK {
		err = failed // it says more than that some events were not sent
	}
	unknown := leavesUnknown(events, outcomes)
	if err == nil && unknown {
		err = errUnanswered
	}
	if err != nil && !MaySend(ctx) {
		return outcomes, fmt.Errorf("%w: %w", ErrLeaseLost, err) // no fault of the broker or of the event
	}
	if unknown && d.size == 1 && len(events) == 1 && stateOf(err) == BrokerFailing && !endsSession(err) {
		outcomes[0].Err = &AmbiguousError{err} // it failed in company and alone: the cause may be the event
	}
	return outcomes, err
}

// compare looks what the broker has stored under the ids that it recognised.
func (d *dispatcher) compare(ctx context.Context, events []Event, outcomes []Outcome) error {
	compared := newComparison(d.ledger, events, outcomes)
	if compared == nil {
		return nil
	}
	d.progress.work(d.limit)
	defer d.progress.work(memoryLimit)
	removed, err := compared.run(ctx)
	d.track.uncompared(removed)
	return err
}

// leavesUnknown reports whether a publisher said nothing of an event. An event that stands behind a refused one of its key needs no
// answer: it was not sent.
func leavesUnknown(events []Event, outcomes []Outcome) bool {
	var refused map[string]bool
	for i, outcome := range outcomes {
		switch key := events[i].Key; {
		case outcome.Err != nil && key != "":
			if refused == nil {
				refused = make(map[string]bool)
			}
			refused[key] = true
		case outcome == Outcome{} && !refused[key]:
			return true
		}
	}
	return false
}

// account sends what was decided to the settle loop and to the lanes, and moves the events of which nothing is known to the end
// of chunk, in order. It returns their number.
func (d *dispatcher) account(chunk []Event, outcomes []Outcome, from *flight) (left int) {
	now := time.Now()
	news := settlement{stored: make([]identity, 0, len(chunk)), from: from}
	parked, duplicates := 0, 0
	for i := range chunk {
		event, outcome := &chunk[i], &outcomes[i]
		switch {
		case outcome.Stored:
			news.add(event, outcome)
			d.metrics.endToEnd.Observe(d.clock.age(event.CreatedAt, now).Seconds())
			duplicates += count(outcome.Duplicate && !outcome.Repeated)
		case outcome.Err == nil:
			chunk[left] = *event
			left++
		case d.refused(event, from, outcome.Err, now, &news):
		default:
			parked++
		}
	}
	copy(chunk[len(chunk)-left:], chunk[:left])
	d.send(news, duplicates, now)
	if parked > 0 {
		from.land(parked)
		d.noteDelayed()
	}
	return left
}

// refused decides on an event that the broker did not take. It reports true if that is for good: the event is in
// news.dead then, otherwise in a lane or set aside.
func (d *dispatcher) refused(event *Event, from *flight, cause error, now time.Time, news *settlement) bool {
	var failed failures
	waiting := d.lanes.of(event)
	first := waiting == nil || waiting.ids[0] == event.ID
	if waiting != nil && first {
		failed = waiting.failed
	}
	failed = failed.again(now, d.spendsAttempt(cause, failed))
	if failed.doubt == 0 && errors.As(cause, new(*AmbiguousError)) {
		failed.doubt = d.began
	}

	var permanent *PermanentError
	switch {
	case errors.As(cause, &permanent):
		d.giveUp(event, newDeadLetter(identityOf(event), from, permanent.Reason, permanent.Err, failed), news)
		return true
	case !first:
		d.queue(event)
		return false
	case d.standsAside(cause, failed):
		d.track.eventFailed(event, failed.attempts, cause)
		d.setAside(event, waiting, cause)
		return false
	case d.cfg.MaxAttempts > 0 && failed.attempts >= d.cfg.MaxAttempts:
		d.giveUp(event, newDeadLetter(identityOf(event), from, ReasonAttempts, cause, failed), news)
		return true
	}
	d.track.eventFailed(event, failed.attempts, cause)
	if waiting == nil {
		waiting = d.lanes.open(event)
	}
	d.lanes.fail(waiting, failed, cause)
	return false
}

// giveUp makes an event a dead letter. Where that holds its key, the later events of the key are left in the table.
func (d *dispatcher) giveUp(event *Event, dead deadLetter, news *settlement) {
	news.dead = append(news.dead, dead)
	if d.cfg.AfterDeadLetter != HoldKey || event.Key == "" {
		return
	}
	d.held.add(event.Key)
	if waiting := d.lanes.of(event); waiting != nil {
		later := d.lanes.cut(waiting, event.ID)
		d.held.pass(later)
	}
}

// spendsAttempt reports whether a failure counts against the event. It does not when the broker says that the cause lies
// elsewhere, nor when the broker has stored nothing since the event's last failure: then it may be the broker that
// fails, and an outage must not make dead letters.
func (d *dispatcher) spendsAttempt(cause error, failed failures) bool {
	if stateOf(cause) != BrokerFailing {
		return false
	}
	return failed.attempts == 0 || d.lastStore.After(failed.last)
}

// send passes news on to the settle loop, and counts.
func (d *dispatcher) send(news settlement, duplicates int, now time.Time) {
	if len(news.stored) > 0 {
		d.lastStore = now
		d.track.published(len(news.stored), duplicates)
		d.metrics.rehomed.Add(float64(news.rehomed))
	}
	if len(news.stored)+len(news.dead) > 0 {
		d.emit(news)
	}
}

// react draws the conclusions of one Publish for the next: the state of the broker, the size of the next call, and a pause.
func (d *dispatcher) react(ctx context.Context, err error, left, size int) {
	if endsSession(err) {
		d.again = fmt.Errorf("%w: %w", errAgain, err)
		return
	}
	if ctx.Err() != nil {
		return
	}
	if stateOf(err) == BrokerOK {
		if d.track.brokerAnswered(BrokerOK, nil) {
			d.lanes.hurry(time.Now())
			d.aside.hurry(time.Now())
		}
		d.backoff.Reset()
		if err == nil {
			d.size = min(d.size*2, d.cfg.BatchEvents)
			d.doubt = 0
		}
		return
	}
	if d.doubt == 0 {
		d.doubt = d.began
	}
	if errors.Is(err, ErrLeaseLost) {
		return // either it is renewed, or the session ends
	}
	if left < size {
		d.backoff.Reset()
	}
	wait := d.backoff.NextBackOff()
	state := stateOf(err)
	switch state {
	case BrokerOK, BrokerUnknown, BrokerUnavailable: // the backoff decides
	case BrokerMisconfigured:
		wait = misconfiguredPause
	case BrokerThrottling:
		wait = max(wait, retryAfter(err))
	case BrokerFailing:
		// One event may be what breaks the call: smaller calls let the others through and leave the culprit alone.
		d.size = max(1, size/2)
	}
	d.track.brokerAnswered(state, err)
	d.track.retried(left)
	d.pause(ctx, wait)
}

// emit passes news on to the settle loop, which may have to wait for Postgres.
func (d *dispatcher) emit(news settlement) {
	d.progress.idle()
	d.out <- news
	d.progress.work(memoryLimit)
}

func (d *dispatcher) pause(ctx context.Context, wait time.Duration) {
	d.progress.idle()
	pause(ctx, wait)
	d.progress.work(memoryLimit)
}

// awaitFence waits until a Publish may begin, see [awaitFence].
func (d *dispatcher) awaitFence(ctx, publishing context.Context) bool {
	d.progress.idle()
	defer d.progress.work(memoryLimit)
	return awaitFence(ctx, publishing)
}

// endsSession reports whether nothing more may be published before a new session has looked at the broker.
func endsSession(err error) bool { return errors.Is(err, ErrRewound) || errors.Is(err, ErrSwitched) }

// stateOf returns what the error of a whole Publish says of the broker. [BrokerFailing] is what is left: it may be the broker, and
// it may be an event.
func stateOf(err error) BrokerState {
	var throttled *ThrottledError
	switch {
	case err == nil, errors.Is(err, ErrNotSent):
		return BrokerOK
	case errors.Is(err, ErrMisconfigured):
		return BrokerMisconfigured
	case errors.Is(err, ErrUnavailable):
		return BrokerUnavailable
	case errors.As(err, &throttled):
		return BrokerThrottling
	}
	return BrokerFailing
}

// retryAfter returns the wait that the broker asked for; 0 if it asked for none.
func retryAfter(err error) time.Duration {
	if throttled, ok := errors.AsType[*ThrottledError](err); ok {
		return throttled.RetryAfter
	}
	return 0
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

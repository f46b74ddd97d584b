package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

// keyed sends events one by one, with at most one event of a key unacknowledged. Servers may lose
// events in the middle of what a client sends without waiting, at a change of leader for instance,
// and store later ones; so an event must be acknowledged before the next of its key is sent. Its
// places count from 0.
type keyed struct {
	call   *call
	todo   []int
	prefix string // of its reply subjects
	plain  string // how nearly every answer begins
	buf    []byte

	next     []int // the next place of the same key, -1 for none
	ready    []int // places that may be sent
	sent     int   // of ready
	flying   []bool
	others   map[int]first // places whose first answer was not that of the stream, or may not have been
	kept     time.Time     // when the last of them came
	inFlight int
	refusals bool   // an event was refused
	bytes    int    // in flight
	fresh    uint64 // events that the stream did not have before
	unrouted []int  // events that no stream took
	stop     error
	ended    bool // the call has lasted long, so the events that are left go in the next one
	progress time.Time
}

// sendKeyed sends events singly and notes what became of each. The error speaks of the whole broker.
func (c *call) sendKeyed(ctx context.Context, todo []int) error {
	c.link.calls++
	k := &keyed{
		call: c, todo: todo, progress: time.Now(),
		next: make([]int, len(todo)), ready: make([]int, 0, len(todo)), flying: make([]bool, len(todo)),
		prefix: c.link.inbox + "." + strconv.FormatUint(c.link.calls, 10) + ".",
		plain:  c.link.target.stored(),
	}
	end := c.end
	k.chain()
	k.run(ctx)
	if c.link.target.fast && c.end > end+k.fresh {
		c.link.noteShared(c.link.target.state.DuplicateWindow)
	}
	if k.inFlight == 0 {
		c.link.others.end(ended{prefix: k.prefix, refusal: k.refusals || len(k.unrouted) > 0})
	}
	switch {
	case k.stop != nil:
		return k.stop
	case len(k.unrouted) > 0:
		return &unroutedError{events: k.unrouted}
	case k.ended:
		return relay.ErrNotSent
	}
	return nil
}

// first is an answer to an event that another may follow: a refusal, an error that says that
// another stream stored it, or, of two streams that cannot be told apart, that it is stored.
type first struct {
	err     error
	refusal bool
	outcome relay.Outcome
}

// chain links the events of each key.
func (k *keyed) chain() {
	last := map[string]int{}
	for place, i := range k.todo {
		k.next[place] = -1
		key := k.call.events[i].Key
		before, found := last[key]
		if key == "" || !found {
			k.ready = append(k.ready, place)
		} else {
			k.next[before] = place
		}
		last[key] = place
	}
}

func (k *keyed) run(ctx context.Context) {
	for {
		switch {
		case k.maySend():
			k.sendNext()
			k.takeWaiting()
		case k.inFlight > 0:
			if !k.wait(ctx) {
				return
			}
		default:
			return
		}
	}
}

func (k *keyed) maySend() bool {
	switch {
	case k.stop != nil, k.sent == len(k.ready), k.inFlight >= windowEvents, k.bytes >= windowBytes:
		return false
	case len(k.call.oversize) > 0 && !k.call.measured:
		return false // what the stream takes is found out first
	}
	k.ended = k.ended || k.sent > 0 && k.call.isLong()
	return !k.ended
}

func (k *keyed) sendNext() {
	place := k.ready[k.sent]
	k.sent++
	i := k.todo[place]
	k.buf = strconv.AppendInt(append(k.buf[:0], k.prefix...), int64(place), 10)
	msg := k.call.encoder.encode(&k.call.events[i], string(k.buf))
	if err := k.call.link.nc.PublishMsg(msg); err != nil {
		k.fail(place, err)
		return
	}
	k.flying[place] = true
	k.inFlight++
	k.bytes += k.call.sizes[i]
}

// fail notes what an error means for an event, and for the rest.
func (k *keyed) fail(place int, err error) {
	k.refusals = true
	if stop := k.call.refused(k.todo[place], err); stop != nil && k.stop == nil {
		k.stop = stop
	}
	k.goOn(place)
}

func (k *keyed) takeWaiting() {
	for len(k.call.link.replies) > 0 {
		k.take(k.call.link.read(<-k.call.link.replies))
	}
	for len(k.call.link.denied) > 0 {
		k.takeDenied(<-k.call.link.denied)
	}
}

// wait returns false when nothing more can come.
func (k *keyed) wait(ctx context.Context) bool {
	var patience <-chan time.Time
	if len(k.others) > 0 && !k.call.link.others.answer() {
		timer := time.NewTimer(time.Until(k.kept.Add(secondWait)))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-patience:
		k.takeFirst()
		return true
	case msg := <-k.call.link.replies:
		k.take(k.call.link.read(msg))
		return true
	case denied := <-k.call.link.denied:
		k.takeDenied(denied)
		return true
	case <-k.call.link.down:
		k.stop = k.call.link.outage()
	case <-ctx.Done():
		k.stop = ctx.Err()
	case <-k.call.link.ticker.C:
		timeout := k.call.link.cfg.PublishTimeout
		if time.Since(k.progress) < timeout {
			return true
		}
		if len(k.others) > 0 {
			k.takeFirst()
			return true
		}
		if k.stop == nil {
			k.stop = &silenceError{events: k.silent(), of: k.sent, within: timeout}
		}
	}
	return false
}

// silent returns the events that wait for an answer.
func (k *keyed) silent() []int {
	events := make([]int, 0, k.inFlight)
	for place, flying := range k.flying {
		if flying {
			events = append(events, k.todo[place])
		}
	}
	return events
}

func (k *keyed) take(msg *nats.Msg) {
	place, ok := k.place(msg.Subject)
	if !ok {
		k.call.link.late(msg) // of an earlier call
		return
	}
	if !k.flying[place] {
		k.takeSecond(place, msg)
		return
	}
	if seq, ok := plainAnswer(msg.Data, k.plain); ok && seq <= k.call.ceiling {
		k.accept(place, relay.Outcome{Sequence: seq})
		return
	}
	a, err := parseAnswer(msg)
	if err == nil && a.Type != "" {
		err = fmt.Errorf("%w, but a word about a batch", errNoAck)
	}
	if err == nil && a.isFrom(k.call.link.target) {
		err = k.call.reached(a)
	}
	switch {
	case err != nil:
		k.call.link.strange(msg, err)
	case a.unrouted:
		k.landed(place)
		k.unrouted = append(k.unrouted, k.todo[place]) // others may have a way
	case a.Error != nil:
		k.refused(place, a.Error)
	case !a.isFrom(k.call.link.target):
		k.storedElsewhere(place, a)
	case a.Seq == 0:
		k.landed(place)
		k.fail(place, errInFlight)
	default:
		k.accept(place, relay.Outcome{Duplicate: a.Duplicate, Sequence: a.Seq})
	}
}

// refused takes a refusal. While other streams answer it counts once a second answer has come, or
// none comes in time. One for good counts when none comes in time: a second refusal is no answer of
// another stream as long as none is known, for anybody who sees an event may give two.
func (k *keyed) refused(place int, refusal *apiError) {
	before, answered := k.others[place]
	if answered && before.refusal && !k.call.link.others.answer() {
		return
	}
	alone := k.call.link.alone.knows(k.call.events[k.todo[place]].Subject, time.Now())
	if !answered && (k.call.link.others.answer() || !alone && isPermanent(judge(refusal).err)) {
		k.keepFirst(place, first{err: refusal, refusal: true})
		return
	}
	var cause error = refusal
	switch {
	case answered && before.refusal && isPermanent(judge(refusal).err):
		cause = before.err
	case answered && before.err == nil:
		cause = k.call.link.target.twinError()
	}
	k.landed(place)
	k.fail(place, cause)
}

// storedElsewhere takes the answer of another stream. A refusal that came before it is that of the
// stream that was asked.
func (k *keyed) storedElsewhere(place int, a answer) {
	k.call.link.noteOther(a)
	if before, answered := k.others[place]; answered && before.refusal {
		k.landed(place)
		k.fail(place, before.err)
		return
	}
	elsewhere := a.elsewhere(k.call.link.target)
	if subject := k.call.events[k.todo[place]].Subject; k.call.link.diverted.knows(subject, time.Now()) {
		k.landed(place) // the stream that was asked has not answered before either
		k.fail(place, elsewhere)
		return
	}
	k.keepFirst(place, first{err: elsewhere})
}

func (k *keyed) keepFirst(place int, answer first) {
	if k.others == nil {
		k.others = make(map[int]first)
	}
	k.others[place], k.kept = answer, time.Now()
}

// takeFirst makes do with the first answers where a second has not come in time.
func (k *keyed) takeFirst() {
	for place, answer := range k.others {
		k.landed(place)
		subject := k.call.events[k.todo[place]].Subject
		if errors.As(answer.err, new(*elsewhereError)) {
			k.call.link.diverted.note(subject, time.Now())
		} else if answer.refusal && !k.call.link.others.answer() {
			k.call.link.alone.note(subject, time.Now())
		}
		if answer.err != nil {
			k.fail(place, answer.err)
			continue
		}
		k.call.link.others.twin = false
		k.stored(place, answer.outcome)
	}
}

// accept takes the acknowledgement of the stream that was asked, or of another that looks like it.
func (k *keyed) accept(place int, outcome relay.Outcome) {
	if !k.call.link.others.twin {
		k.landed(place)
		k.stored(place, outcome)
		return
	}
	if _, answered := k.others[place]; answered {
		k.landed(place)
		k.fail(place, k.call.link.target.twinError())
		return
	}
	k.keepFirst(place, first{outcome: outcome})
}

// takeSecond takes an answer to an event that had one before.
func (k *keyed) takeSecond(place int, msg *nats.Msg) {
	k.call.link.second(msg, ended{refusal: !k.call.outcomes[k.todo[place]].Stored})
}

// place reads the reply subject of an answer. ok is false for one to an event of another call.
func (k *keyed) place(subject string) (place int, ok bool) {
	if len(subject) <= len(k.prefix) || subject[:len(k.prefix)] != k.prefix {
		return 0, false
	}
	place, err := strconv.Atoi(subject[len(k.prefix):])
	return place, err == nil && place >= 0 && place < len(k.todo)
}

func (k *keyed) landed(place int) {
	k.flying[place] = false
	delete(k.others, place)
	k.inFlight--
	k.bytes -= k.call.sizes[k.todo[place]]
	k.progress = time.Now()
}

func (k *keyed) stored(place int, outcome relay.Outcome) {
	if !outcome.Duplicate {
		k.fresh++
	}
	k.call.stored(k.todo[place], outcome)
	k.goOn(place)
}

// goOn lets the next event of the key follow one that is stored or, unless that holds the key, refused for good.
func (k *keyed) goOn(place int) {
	outcome := k.call.outcomes[k.todo[place]]
	if next := k.next[place]; next >= 0 && (outcome.Stored || isPermanent(outcome.Err) && !k.call.holds) {
		k.ready = append(k.ready, next)
	}
}

// takeDenied ends the wait for the events of a subject that the user may not publish to.
func (k *keyed) takeDenied(denied *deniedError) {
	k.call.denied(denied)
	if denied.what == "reply" {
		k.stop = denied
		return
	}
	for place, flying := range k.flying {
		if i := k.todo[place]; flying && k.call.events[i].Subject == denied.subject {
			k.landed(place)
			k.call.delay(i, denied)
		}
	}
}

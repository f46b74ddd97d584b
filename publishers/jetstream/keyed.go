package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

// keyed sends events one by one, with at most one event of a key unacknowledged. Servers may lose events in the middle of
// what a client sends without waiting, at a change of leader for instance, and store later ones; so an event must
// be acknowledged before the next of its key is sent. Its places count from 0.
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
	inFlight int
	bytes    int   // in flight
	unrouted []int // events that nobody took
	stop     error
	progress time.Time
}

// sendKeyed sends events singly and notes what became of each. The error speaks of the whole broker.
func (c *call) sendKeyed(ctx context.Context, todo []int) error {
	c.link.calls++
	k := &keyed{
		call: c, todo: todo, progress: time.Now(),
		next: make([]int, len(todo)), ready: make([]int, 0, len(todo)), flying: make([]bool, len(todo)),
		prefix: c.link.inbox + "." + strconv.FormatUint(c.link.calls, 10) + ".",
		plain:  `{"stream":` + strconv.Quote(c.link.target.stream) + `,"seq":`,
	}
	k.chain()
	k.run(ctx)
	if k.stop == nil && len(k.unrouted) > 0 {
		return &unroutedError{events: k.unrouted}
	}
	return k.stop
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
	return k.stop == nil && k.sent < len(k.ready) && k.inFlight < windowEvents && k.bytes < windowBytes
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
	if stop := k.call.refused(k.todo[place], err); stop != nil && k.stop == nil {
		k.stop = stop
	}
	k.goOn(place)
}

func (k *keyed) takeWaiting() {
	for len(k.call.link.replies) > 0 {
		k.take(<-k.call.link.replies)
	}
	for len(k.call.link.denied) > 0 {
		k.takeDenied(<-k.call.link.denied)
	}
}

// wait returns false when nothing more can come.
func (k *keyed) wait(ctx context.Context) bool {
	select {
	case msg := <-k.call.link.replies:
		k.take(msg)
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
		if k.stop == nil {
			k.stop = fmt.Errorf("%w of %d events within %s", errNoAck, k.inFlight, timeout)
		}
	}
	return false
}

func (k *keyed) take(msg *nats.Msg) {
	place, ok := k.place(msg.Subject)
	if !ok {
		return // of an earlier call
	}
	k.landed(place)
	if seq, ok := plainAnswer(msg.Data, k.plain); ok {
		k.stored(place, relay.Outcome{Sequence: seq})
		return
	}
	a, err := parseAnswer(msg)
	switch {
	case err != nil:
		k.fail(place, err)
	case a.unrouted:
		k.unrouted = append(k.unrouted, k.todo[place]) // others may have a way
	case a.Error != nil:
		k.fail(place, a.Error)
	case a.elsewhere(k.call.link.target.stream) != nil:
		k.fail(place, a.elsewhere(k.call.link.target.stream))
	case a.Seq == 0:
		k.fail(place, errInFlight)
	default:
		k.stored(place, relay.Outcome{Duplicate: a.Duplicate, Sequence: a.Seq})
	}
}

// place reads the reply subject of an answer. ok is false where no answer is awaited.
func (k *keyed) place(subject string) (place int, ok bool) {
	if len(subject) <= len(k.prefix) || subject[:len(k.prefix)] != k.prefix {
		return 0, false
	}
	place, err := strconv.Atoi(subject[len(k.prefix):])
	return place, err == nil && place >= 0 && place < len(k.todo) && k.flying[place]
}

func (k *keyed) landed(place int) {
	k.flying[place] = false
	k.inFlight--
	k.bytes -= k.call.sizes[k.todo[place]]
	k.progress = time.Now()
}

func (k *keyed) stored(place int, outcome relay.Outcome) {
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

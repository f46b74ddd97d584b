package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// errNoAck says that events were sent, the connection lives, and no acknowledgement came. They may be stored or not.
var errNoAck = errors.New("no acknowledgement")

// deniedWait is how long a batch that stopped for no visible reason waits for the word that a
// permission is missing, which comes by another way than the answers.
const deniedWait = 50 * time.Millisecond

// call is one Publish. It sends in rounds: a refused event ends the round, its outcome is noted,
// and the next round goes on with the events that are left. Each round decides at least one event.
type call struct {
	ctx      context.Context
	link     *link
	events   []relay.Event
	outcomes []relay.Outcome
	sizes    []int            // on the wire, headers and payload
	decided  []bool           // stored, refused or delayed
	left     int              // events that are not decided
	held     map[string]int   // by key, the first delayed event: no later one may be stored in this call
	barred   map[string]error // subjects whose events are all refused: the user may not publish to them, or they are full
	oversize []int            // events that the server found too large, although what was known of its limits allowed them
	measured bool             // the limits were looked at once more
	unrouted map[int]bool     // events that nobody took once, and that are sent again
	apart    map[int]bool     // events that are sent singly, after all others
	repeats  map[int]uint64   // events of a batch that are sent again, with the end of the stream before it
	claimed  map[uint64]bool  // the sequences at which one of them is
	again    bool             // the next round repeats what this one has not decided
	encoder  *encoder
	began    time.Time

	holds   bool         // nothing of a key is stored behind an event that was refused for good either
	before  uint64       // the last sequence of the accepted state before the call, 0 if there is none
	end     uint64       // the last sequence that the stream is known to have reached
	kept    *relay.Event // the last event that was stored, and that is not large
	highest uint64       // the highest sequence of an event that was stored
	ceiling uint64       // up to which sequence an answer is believed without a look at the stream
	looked  time.Time
	rewound bool // an event got a sequence that was given before: the stream is not the one that it was
}

func newCall(ctx context.Context, l *link, events []relay.Event, outcomes []relay.Outcome) *call {
	return &call{
		ctx: ctx, link: l, events: events, outcomes: outcomes, left: len(events), began: time.Now(),
		sizes: make([]int, len(events)), decided: make([]bool, len(events)), encoder: newEncoder(),
	}
}

// reachable is how far others may have written a stream on since it was looked at. A sequence
// beyond is looked up.
const reachable = 1 << 16

// reached returns an error for an answer with a sequence that the stream has not reached. Where
// what it takes for its end were believed, everything after the true end would count as lost.
func (c *call) reached(a answer) error {
	if a.Type != "" || a.Seq <= c.ceiling {
		return nil
	}
	beyond := fmt.Errorf("%w, but one with sequence %d, which the stream has not reached", errNoAck, a.Seq)
	if time.Since(c.looked) < c.link.cfg.PublishTimeout/4 {
		return beyond
	}
	c.looked = time.Now()
	ctx, cancel := context.WithTimeout(c.ctx, c.link.cfg.PublishTimeout/4)
	defer cancel()
	info, err := c.link.lookAt(ctx)
	if err != nil || a.Seq > info.State.LastSeq {
		return beyond
	}
	c.ceiling = info.State.LastSeq + reachable
	return nil
}

// decide notes the outcome of an event, once.
func (c *call) decide(i int, outcome relay.Outcome) {
	if !c.decided[i] {
		c.outcomes[i], c.decided[i] = outcome, true
		c.left--
	}
}

// stored notes that an event is stored, at a sequence or before it; 0 where that is unknown.
func (c *call) stored(i int, outcome relay.Outcome) {
	if seq := outcome.Sequence; seq > 0 && !outcome.Duplicate {
		c.highest, c.end = max(c.highest, seq), max(c.end, seq)
		c.rewound = c.rewound || seq <= c.before
	}
	if end, repeated := c.repeats[i]; repeated {
		outcome.Repeated = outcome.Duplicate && outcome.Sequence > end && !c.claimed[outcome.Sequence]
		c.claimed[outcome.Sequence] = true
	}
	outcome.Stored = true
	if len(c.events[i].Payload) <= keptPayload {
		c.kept = &c.events[i]
	}
	c.decide(i, outcome)
}

// delay notes that an event could not be stored now. The later events of its key may not overtake it.
func (c *call) delay(i int, err error) {
	if c.decided[i] {
		return
	}
	c.decide(i, relay.Outcome{Err: err})
	if key := c.events[i].Key; key != "" {
		if c.held == nil {
			c.held = map[string]int{}
		}
		if first, held := c.held[key]; !held || i < first {
			c.held[key] = i
		}
	}
}

// refused notes what an error means for an event. It returns the error where that concerns the whole broker.
func (c *call) refused(i int, cause error) error {
	if elsewhere, ok := errors.AsType[*elsewhereError](cause); ok {
		elsewhere.subject = c.events[i].Subject
	}
	v := judge(cause)
	if isPermanent(v.err) && c.link.others.answer() {
		const text = "one of several streams that answer refused the event: %v"
		v = verdict{err: fmt.Errorf(text, cause)}
	}
	if v.stale {
		c.link.invalidate()
	}
	if permanent, ok := errors.AsType[*relay.PermanentError](v.err); ok && permanent.Reason == relay.ReasonTooLarge {
		c.oversize = append(c.oversize, i)
	}
	switch {
	case v.whole:
		return v.err
	case isPermanent(v.err):
		c.refuse(i, v.err)
	default:
		c.delay(i, v.err)
	}
	if v.subject {
		c.bar(c.events[i].Subject, v.err)
	}
	return nil
}

// refuse notes that an event is refused for good. Unless that holds its key, the later events of the key go on.
func (c *call) refuse(i int, err error) {
	if c.holds {
		c.delay(i, err)
		return
	}
	c.decide(i, relay.Outcome{Err: err})
}

// todo returns the events that can be sent now, in order. Those that are sent apart come when no others are left, the
// first of each key.
func (c *call) todo() []int {
	todo := make([]int, 0, c.left)
	var apart []int
	var waits map[string]bool // the keys of apart
	for i := range c.events {
		key := c.events[i].Key
		if first, held := c.held[key]; c.decided[i] || held && i >= first || waits[key] {
			continue
		}
		if !c.apart[i] {
			todo = append(todo, i)
			continue
		}
		apart = append(apart, i)
		if key != "" {
			if waits == nil {
				waits = map[string]bool{}
			}
			waits[key] = true
		}
	}
	if len(todo) == 0 {
		return apart
	}
	return todo
}

// sendApart leaves an event until all others are sent.
func (c *call) sendApart(i int) {
	if c.apart == nil {
		c.apart = map[int]bool{}
	}
	c.apart[i], c.again = true, true
}

// send publishes what is left, until every event is decided or held, or the broker cannot go on.
func (c *call) send(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	c.forgetDenied()
	c.delayKnownLost(ctx)
	for {
		todo := c.todo()
		if len(todo) == 0 {
			c.link.singly = false
			return nil
		}
		left, singly := c.left, c.link.singly
		c.again = false
		err := c.round(ctx, todo)
		if unknown := c.explainOversize(ctx); err == nil {
			err = unknown
		}
		if err := c.explain(ctx, err); err != nil {
			return err
		}
		if c.delayDenied(); c.left < left || c.link.singly != singly || c.again {
			continue
		}
		c.awaitDenied(ctx)
		if c.delayDenied(); c.left == left {
			return fmt.Errorf("%w of %d events, and no reason", errNoAck, len(todo))
		}
	}
}

// callTimeouts is for how many publish timeouts a call goes on sending events singly. It is well below the limit of the
// relay, which would take a longer call for a loop that stands still.
const callTimeouts = 4

// isLong reports whether the call has lasted so long that it should end.
func (c *call) isLong() bool { return time.Since(c.began) > callTimeouts*c.link.cfg.PublishTimeout }

// round sends the events in the way that the stream allows. One event alone is sent singly, which
// is as fast and whose answer says more. So are all events after a batch whose end is unknown: the
// answers then say which of them are stored already, and which an attempt before has still in
// flight.
func (c *call) round(ctx context.Context, todo []int) error {
	if c.link.others.twin {
		todo = todo[:1]
	}
	if !c.link.target.fast || len(todo) == 1 || c.link.singly || c.link.isShared() || c.link.others.answer() || c.apart[todo[0]] {
		return c.sendKeyed(ctx, todo)
	}
	err := c.sendBatch(ctx, todo)
	if errors.Is(err, errOthers) {
		return c.sendKeyed(ctx, c.todo())
	}
	if !refusesBatches(err) {
		return err
	}
	if c.foreignRefusal(ctx, err) {
		c.link.singly = true
		return nil
	}
	c.link.giveUpFastIngest(err)
	slow := *c.link.target
	slow.fast = false
	c.link.target = &slow
	return c.sendKeyed(ctx, c.todo())
}

// refusesBatches tells whether an error means that fast ingest is not taken.
func refusesBatches(err error) bool {
	refusal, ok := errors.AsType[*apiError](err)
	return ok && (refusal.Code == codeBatchDisabled || refusal.Code == codeBatchPattern || refusal.Code == codeBatchID) ||
		errors.Is(err, errNotBatched)
}

// foreignRefusal reports whether another stream refused a batch, to which the account takes an
// event: ours takes batches.
func (c *call) foreignRefusal(ctx context.Context, err error) bool {
	if refusal, ok := errors.AsType[*apiError](err); !ok || refusal.Code != codeBatchDisabled {
		return false
	}
	info, err := c.link.lookAt(ctx)
	return err == nil && info.Config.AllowBatchPublish
}

// forgetDenied drops what is left of an earlier call.
func (c *call) forgetDenied() {
	for {
		select {
		case <-c.link.denied: //nolint:errcheck // the error belongs to a call that has returned
		default:
			return
		}
	}
}

// denied notes a subject that the user may not publish to.
func (c *call) denied(denied *deniedError) { c.bar(denied.subject, denied) }

// bar notes a subject whose events need not be sent in this call.
func (c *call) bar(subject string, cause error) {
	if c.barred == nil {
		c.barred = map[string]error{}
	}
	c.barred[subject] = cause
}

// awaitDenied waits a moment for the word that a permission is missing.
func (c *call) awaitDenied(ctx context.Context) {
	timer := time.NewTimer(deniedWait)
	defer timer.Stop()
	select {
	case denied := <-c.link.denied:
		c.denied(denied)
	case <-timer.C:
	case <-ctx.Done():
	}
}

// delayDenied delays the events of barred subjects.
func (c *call) delayDenied() {
	for len(c.link.denied) > 0 {
		c.denied(<-c.link.denied)
	}
	if len(c.barred) == 0 {
		return
	}
	for i := range c.events {
		if cause := c.barred[c.events[i].Subject]; cause != nil {
			c.delay(i, cause)
		}
	}
}

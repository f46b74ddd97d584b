package jetstream

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// take takes one answer of the server.
func (b *batch) take(msg *nats.Msg) {
	place, ok := parseBatchReply(msg.Subject, b.prefix)
	if !ok {
		b.call.link.late(msg) // of an earlier batch
		return
	}
	a, err := parseAnswer(msg)
	if err == nil {
		err = b.check(place, a)
	}
	switch {
	case err != nil:
		b.call.link.strange(msg, err)
	case place == b.closing && (a.unrouted || a.Error != nil):
		b.forgotten() // what was to end it found it ended
	case a.unrouted:
		b.refuse(place, &unroutedError{events: b.todo[place-1 : place]}, true)
	case a.Type == typeAck:
		b.acknowledged(int(a.Seq)) // checked
	case a.Type == typeGap:
		b.gap = true
	case a.Type == typeErr:
		b.refuse(place, a.Error, false)
	case a.Error != nil:
		b.takeError(place, a.Error)
	default:
		b.takeEnd(a)
	}
}

// check returns an error for an answer that the server cannot have given: anybody who may publish
// to a reply subject can answer.
func (b *batch) check(place int, a answer) error {
	sent := uint64(b.sent)
	switch {
	case place < 1 || place > b.sent && place != b.closing:
		return fmt.Errorf("%w, but an answer to event %d of %d", errNoAck, place, sent)
	case a.Type == typeAck && a.Seq > max(sent, uint64(b.closing)):
		return fmt.Errorf("%w, but one of event %d of %d", errNoAck, a.Seq, sent)
	case a.Type == typeErr && a.Seq != uint64(place):
		return fmt.Errorf("%w, but a refusal of event %d that came to event %d", errNoAck, a.Seq, place)
	case a.Batch != "" && (a.Batch != b.id || a.Count > max(sent, uint64(b.closing))):
		return fmt.Errorf("%w, but the end of batch %.64q with %d events", errNoAck, a.Batch, a.Count)
	}
	return b.call.reached(a)
}

// takeError takes a refusal that came before the server looked at the batch, which therefore stays
// open.
func (b *batch) takeError(place int, refusal *apiError) {
	if refusal.Code == codeBatchUnknown {
		b.forgotten()
		return
	}
	b.refuse(place, refusal, true)
}

// forgotten notes that nothing more will be said of this batch.
func (b *batch) forgotten() {
	b.ended = true
}

func (b *batch) takeEnd(a answer) {
	if !a.isFrom(b.call.link.target) {
		b.call.link.noteOther(a)
		b.err = errOthers
		return
	}
	if a.Batch == "" {
		b.err = errNotBatched
		return
	}
	b.ended, b.last = true, a
	b.acknowledged(int(a.Count))
	b.call.link.others.end(ended{prefix: b.prefix, batch: true})
}

// acknowledged notes that all places up to one are stored, which cannot include a refused one.
func (b *batch) acknowledged(place int) {
	place = min(place, b.sent)
	if b.refusedAt > 0 {
		place = min(place, b.refusedAt-1)
	}
	if b.acked < place {
		b.progress = time.Now()
	}
	for ; b.acked < place; b.acked++ {
		b.bytes -= b.call.sizes[b.todo[b.acked]]
	}
}

// refuse notes the first refused place. The batch cannot go on after it; where the server does not
// end it by itself, it is ended, for the server then says what it stored.
func (b *batch) refuse(place int, cause error, open bool) {
	if b.refusedAt > 0 && place >= b.refusedAt {
		return
	}
	b.refusedAt, b.refusal = place, cause
	if place == 1 {
		b.ended = true // it was never opened
		b.call.link.others.end(ended{prefix: b.prefix, batch: true, refusal: true})
		return
	}
	if open {
		b.finish(place)
	}
}

func (b *batch) takeDenied(denied *deniedError) {
	b.call.denied(denied)
	if denied.what == "reply" {
		b.err = denied
		return
	}
	for place := 1; place <= b.sent; place++ {
		if b.call.events[b.todo[place-1]].Subject == denied.subject {
			b.refuse(place, denied, true)
			return
		}
	}
}

// proven returns how many events are stored, and whether the stream had none of them before.
//
// A stream skips an event whose id it knows, and acknowledges it inside the batch. It may have the
// event from an earlier attempt, which in a replicated stream may be in flight and yet fail, or
// another event under the same id. So nothing counts without the server's last word, and then only
// if the stream has grown by as many events as the batch had. Others who write to the stream could
// hide a skipped event: while they do, no batches are sent. What stays hidden is an event that is
// skipped in the first batch beside others, if they have stored as many as were skipped: only
// outbox-relay verify tells of it.
func (b *batch) proven() (stored int, fresh bool) {
	session := b.call.link.session
	if b.last.Batch == "" {
		session.singly = true
		return 0, true
	}
	stored = min(b.acked, int(b.last.Count))
	if b.last.Seq == 0 {
		return b.acked, b.acked == 0
	}
	grown := b.last.Seq - min(b.end, b.last.Seq)
	if grown > uint64(stored) {
		session.noteShared(b.call.link.target.state.DuplicateWindow)
	}
	return stored, grown == uint64(stored)
}

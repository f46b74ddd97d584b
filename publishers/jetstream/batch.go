package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/gameoutbox/relay/relay"
)

const (
	// windowEvents is the most events that are sent and not acknowledged. Servers queue 100,000 a stream, older ones
	// 10,000, and drop what comes beyond.
	windowEvents = 4096
	// windowBytes is the most bytes that are sent and not acknowledged. Servers queue 128 MiB a stream.
	windowBytes = 16 << 20
	// maxFlow is after how many events a server acknowledges at most, whatever is asked for.
	maxFlow = 500
	// trustFor is how long after a proven batch the acknowledgements inside the next one are believed, see [batch.proven].
	trustFor = time.Second
)

// errNotBatched says that a server stored events of a batch one by one: it does not know fast ingest.
var errNotBatched = errors.New("the server does not know fast ingest")

// batch sends events by fast ingest. Its places count from 1, as in the protocol.
type batch struct {
	call   *call
	todo   []int
	prefix string // of its reply subjects
	buf    []byte

	sent      int // places that were sent
	acked     int // places up to which the server said that all are stored
	bytes     int // sent and not acknowledged
	refusedAt int // the first refused place, 0 for none
	refusal   error
	gap       bool // the server missed an event and ends the batch
	ended     bool // the server said its last word
	last      answer
	err       error // the batch cannot be followed any further
	progress  time.Time
}

// sendBatch sends events as one batch and notes what became of them. The error speaks of the whole broker.
func (c *call) sendBatch(ctx context.Context, todo []int) error {
	b := &batch{call: c, todo: todo, progress: time.Now()}
	b.prefix = c.link.inbox + "." + nuid.Next() + "." + strconv.Itoa(b.flow()) + ".fail."
	b.run(ctx)
	if err := b.settle(ctx); err != nil {
		return err
	}
	if b.refusedAt > 0 {
		if err := c.refused(todo[b.refusedAt-1], b.refusal); err != nil {
			return err
		}
	}
	return b.err
}

// settle notes the events that are stored. Where all of them are duplicates, they are sent singly once more: then each is
// answered with its place in the stream, and one that an earlier attempt has in flight is told apart.
func (b *batch) settle(ctx context.Context) error {
	stored, duplicates := b.proven()
	if duplicates {
		return b.call.sendKeyed(ctx, b.todo[:stored])
	}
	for _, i := range b.todo[:stored] {
		b.call.decide(i, relay.Outcome{Stored: true})
	}
	return nil
}

// flow is after how many events the server is asked to acknowledge. For large events it is less, so that an
// acknowledgement always comes before the window is full.
func (b *batch) flow() int {
	largest := 1
	for _, i := range b.todo {
		largest = max(largest, b.call.sizes[i])
	}
	return max(1, min(maxFlow, windowBytes/2/largest))
}

func (b *batch) run(ctx context.Context) {
	ticker := time.NewTicker(b.call.link.cfg.PublishTimeout / 4)
	defer ticker.Stop()
	for !b.over() {
		if b.maySend() {
			b.sendNext()
			b.takeWaiting()
		} else {
			b.wait(ctx, ticker.C)
		}
	}
}

func (b *batch) over() bool { return b.ended || b.err != nil }

func (b *batch) maySend() bool {
	return b.sent < len(b.todo) && b.refusedAt == 0 && !b.gap && b.sent-b.acked < windowEvents && b.bytes < windowBytes
}

// sendNext does not wait for the first acknowledgement, as the server's clients do: the server takes the events of a
// connection in the order in which they were sent, so that the batch is open when its second event comes.
func (b *batch) sendNext() {
	b.sent++
	op := opAppend
	switch b.sent {
	case len(b.todo):
		op = opCommit
	case 1:
		op = opStart
	}
	i := b.todo[b.sent-1]
	b.bytes += b.call.sizes[i]
	b.publish(b.call.encoder.encode(&b.call.events[i], b.reply(b.sent, op)))
}

func (b *batch) reply(place int, op operation) string {
	b.buf = batchReply(b.buf[:0], b.prefix, place, op)
	return string(b.buf)
}

func (b *batch) publish(msg *nats.Msg) {
	if err := b.call.link.nc.PublishMsg(msg); err != nil {
		b.err = judgeClient(err).err
	}
}

// takeWaiting takes what has come, without waiting.
func (b *batch) takeWaiting() {
	for len(b.call.link.replies) > 0 && !b.over() {
		b.take(<-b.call.link.replies)
	}
	for len(b.call.link.denied) > 0 && !b.over() {
		b.takeDenied(<-b.call.link.denied)
	}
}

func (b *batch) wait(ctx context.Context, tick <-chan time.Time) {
	select {
	case msg := <-b.call.link.replies:
		b.take(msg)
	case denied := <-b.call.link.denied:
		b.takeDenied(denied)
	case <-b.call.link.down:
		b.err = b.call.link.outage()
	case <-ctx.Done():
		b.err = ctx.Err()
	case <-tick:
		b.ping()
	}
}

// ping asks for the last acknowledgement again, which may have been lost, and finds out about a batch that the server forgot.
func (b *batch) ping() {
	timeout := b.call.link.cfg.PublishTimeout
	if time.Since(b.progress) >= timeout {
		b.err = fmt.Errorf("%w of %d of %d events within %s", errNoAck, len(b.todo)-b.acked, len(b.todo), timeout)
		return
	}
	b.control(opPing, b.sent)
}

// control sends a word about the batch. It goes to the subject that opened the batch, which the server is known to take.
func (b *batch) control(op operation, place int) {
	b.publish(&nats.Msg{Subject: b.call.events[b.todo[0]].Subject, Reply: b.reply(place, op)})
}

func (b *batch) take(msg *nats.Msg) {
	place, op, ok := parseBatchReply(msg.Subject, b.prefix)
	if !ok {
		return // of an earlier batch
	}
	a, err := parseAnswer(msg)
	switch {
	case err != nil:
		b.err = err
	case a.unrouted && op == opEnd, a.unrouted && op == opPing:
		b.ended = true
	case a.unrouted:
		b.refuse(place, &unroutedError{event: b.todo[place-1]}, true)
	case a.Type == "ack":
		b.acknowledged(int(a.Seq))
	case a.Type == "gap":
		b.gap = true
	case a.Type == "err":
		b.refuse(place, a.Error, false)
	case a.Error != nil:
		b.takeError(place, op, a.Error)
	default:
		b.takeEnd(a)
	}
}

// takeError takes a refusal that came before the server looked at the batch, which therefore stays open.
func (b *batch) takeError(place int, op operation, refusal *apiError) {
	switch {
	case refusal.Code == codeBatchUnknown || op == opEnd || op == opPing:
		b.ended = true // nothing more will be said of this batch
	default:
		b.refuse(place, refusal, true)
	}
}

func (b *batch) takeEnd(a answer) {
	if b.err = a.elsewhere(b.call.link.target.stream); b.err != nil {
		return
	}
	if a.Batch == "" {
		b.err = errNotBatched
		return
	}
	b.ended, b.last = true, a
	b.acknowledged(int(a.Count))
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

// refuse notes the first refused place. The batch cannot go on after it; where the server does not end it by itself, it is asked
// to, for it then says what it stored.
func (b *batch) refuse(place int, cause error, open bool) {
	if b.refusedAt > 0 && place >= b.refusedAt {
		return
	}
	b.refusedAt, b.refusal = place, cause
	if place == 1 {
		b.ended = true // it was never opened
		return
	}
	if open {
		b.control(opEnd, place)
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

// proven returns how many events are stored beyond doubt, and whether they are all duplicates.
//
// A replicated stream skips an event as a duplicate as soon as it knows its id, also while an earlier attempt to store it is in
// flight and may yet fail, and acknowledges it inside the batch. Nothing is wrong with that once the batch has stored a
// new event itself, for everything before that is then stored too; the sequence at the end of the batch says so. Without it
// the acknowledgements are believed only where nothing can be in flight: right after a batch that was proven.
func (b *batch) proven() (stored int, duplicates bool) {
	session := b.call.link.session
	if b.last.Batch == "" {
		session.singly = true
		trusted := time.Since(session.provenAt) < trustFor
		session.provenAt = time.Time{}
		if !trusted {
			return 0, false
		}
		return b.acked, false
	}
	if b.last.Seq == 0 {
		return b.acked, b.acked > 0
	}
	session.provenAt = time.Now()
	return b.acked, false
}

package jetstream

import (
	"context"
	"errors"
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
)

var (
	// errNotBatched says that a server stored events of a batch one by one: it does not know fast ingest.
	errNotBatched = errors.New("the server does not know fast ingest")
	// errOthers says that another stream answered a batch, so that it is unknown whose its acknowledgements are.
	errOthers = errors.New("another stream answered the batch")
)

// batch sends events by fast ingest. Its places count from 1, as in the protocol.
type batch struct {
	call   *call
	todo   []int
	end    uint64 // the last sequence of the stream before the batch
	id     string
	prefix string // of its reply subjects
	buf    []byte

	sent      int // places that were sent
	closing   int // the place of the event that was sent once more to end the batch, 0 for none
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
	b := &batch{call: c, todo: todo, end: c.end, id: nuid.Next(), progress: time.Now()}
	b.prefix = c.link.inbox + "." + b.id + "." + strconv.Itoa(b.flow()) + ".fail."
	b.run(ctx)
	if err := b.settle(ctx); err != nil {
		return err
	}
	if errors.Is(b.err, errOthers) {
		return b.err // the refusal may be that of another stream
	}
	if b.refusedAt > 0 {
		if err := c.refusedInBatch(todo[b.refusedAt-1], b.refusal); err != nil {
			return err
		}
	}
	return b.err
}

// refusedInBatch notes what a refusal means for an event. One for good may be that of another stream: the event is sent
// once more, together with others of its kind, for they wait for a second answer.
func (c *call) refusedInBatch(i int, refusal error) error {
	if isPermanent(judge(refusal).err) && !c.link.alone.knows(c.events[i].Subject, time.Now()) {
		c.sendApart(i)
		return nil
	}
	return c.refused(i, refusal)
}

// settle notes the events that are stored. Where the stream may have had some before, they are sent
// singly once more: then each is answered with its place in the stream, and one that an earlier
// attempt has in flight is told apart.
func (b *batch) settle(ctx context.Context) error {
	stored, fresh := b.proven()
	if !fresh {
		b.call.rewound = b.call.rewound || b.last.Seq > 0 && b.last.Seq <= b.call.before
		b.call.repeats, b.call.claimed = make(map[int]uint64, stored), make(map[uint64]bool, stored)
		for _, i := range b.todo[:stored] {
			b.call.repeats[i] = b.end
		}
		return b.call.sendKeyed(ctx, b.todo[:stored])
	}
	for _, i := range b.todo[:stored] {
		b.call.stored(i, relay.Outcome{Sequence: b.last.Seq})
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
	for !b.over() {
		if b.maySend() {
			b.sendNext()
			b.takeWaiting()
		} else {
			b.wait(ctx)
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
		b.take(b.call.link.read(<-b.call.link.replies))
	}
	for len(b.call.link.denied) > 0 && !b.over() {
		b.takeDenied(<-b.call.link.denied)
	}
}

func (b *batch) wait(ctx context.Context) {
	select {
	case msg := <-b.call.link.replies:
		b.take(b.call.link.read(msg))
	case denied := <-b.call.link.denied:
		b.takeDenied(denied)
	case <-b.call.link.down:
		b.err = b.call.link.outage()
	case <-ctx.Done():
		b.err = ctx.Err()
	case <-b.call.link.ticker.C:
		b.silent(ctx)
	}
}

// silent looks for the cause when nothing has come for a while. A new leader may know nothing of
// the batch, and would never answer. Otherwise an event or an answer may have been lost on its way:
// where the last event was sent, it is sent once more.
func (b *batch) silent(ctx context.Context) {
	timeout := b.call.link.cfg.PublishTimeout
	switch silence := time.Since(b.progress); {
	case silence >= timeout:
		b.err = &silenceError{events: b.todo[b.acked:b.sent], of: b.sent, within: timeout}
		return
	case silence < timeout/4:
		return // the tick was due before the batch began
	}
	ctx, cancel := context.WithTimeout(ctx, timeout/4)
	defer cancel()
	info, err := b.call.link.lookAt(ctx)
	if err != nil {
		return // the connection, the context or the timeout says more
	}
	state, before := b.call.link.stateOf(info), b.call.link.target.state
	switch {
	case state.Leader != before.Leader || state.Incarnation != before.Incarnation:
		b.call.link.invalidate()
		b.forgotten()
	case b.closing > 0:
	case b.refusedAt > 1:
		b.finish(b.refusedAt)
	case b.gap:
		b.finish(b.sent + 1)
	case b.sent == len(b.todo):
		b.closing = b.sent
		b.publish(b.call.encoder.encode(&b.call.events[b.todo[b.sent-1]], b.reply(b.sent, opCommit)))
	}
}

// finish ends a batch that the server has open, at a place that it does not have. The event before
// that place is sent once more, with the word that it is the last: the server recognises it as a
// duplicate, and says what it has stored of the batch. The protocol has a message without an event
// for it, which all subscribers of the subject would see.
func (b *batch) finish(place int) {
	b.closing = place
	b.publish(b.call.encoder.encode(&b.call.events[b.todo[place-2]], b.reply(place, opCommit)))
}

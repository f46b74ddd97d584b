package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Delivery is one message of the stream as the consumer got it.
type Delivery struct {
	EventID string // the header Nats-Msg-Id
	Key     string // the header Outbox-Key
	Subject string
	Data    []byte
	Stored  time.Time // when the stream stored it
	At      time.Time // when the consumer had it in hand
	Rehomed bool      // the header Outbox-Rehomed: Redis had it before
}

// Consumer reads a stream from its first message on, in order, as any client would: over its own connection, and
// back by itself after an outage. Use [Consume].
type Consumer struct {
	conn    *nats.Conn
	stream  jetstream.Stream
	running jetstream.ConsumeContext
	deliver func(Delivery)

	mu      sync.Mutex
	last    uint64        // stream sequence of the last delivery
	skipped uint64        // stream sequences that were jumped over
	moved   chan struct{} // closed and replaced at each delivery
}

// Consume starts to read the stream at url and calls deliver for each message, one at a time.
func Consume(ctx context.Context, url, stream string, deliver func(Delivery)) (*Consumer, error) {
	conn, err := nats.Connect(url, nats.Name("outbox-relay demo consumer"),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	c := &Consumer{conn: conn, deliver: deliver, moved: make(chan struct{})}
	if err := c.start(ctx, stream); err != nil {
		conn.Close()
		return nil, fmt.Errorf("consumer: %w", err)
	}
	return c, nil
}

func (c *Consumer) start(ctx context.Context, name string) error {
	js, err := jetstream.New(c.conn)
	if err != nil {
		return err
	}
	if c.stream, err = js.Stream(ctx, name); err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	consumer, err := c.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	c.running, err = consumer.Consume(c.handle)
	return err
}

func (c *Consumer) handle(msg jetstream.Msg) {
	at := time.Now()
	meta, err := msg.Metadata()
	if err != nil {
		return // not a message of the stream: CaughtUp finds the hole that it leaves
	}
	c.deliver(Delivery{
		EventID: msg.Headers().Get(nats.MsgIdHdr), Key: msg.Headers().Get("Outbox-Key"),
		Subject: msg.Subject(), Data: msg.Data(), Stored: meta.Timestamp, At: at,
		Rehomed: msg.Headers().Get("Outbox-Rehomed") != "",
	})
	c.advance(meta.Sequence.Stream)
}

func (c *Consumer) advance(sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sequence > c.last {
		c.skipped += sequence - c.last - 1
		c.last = sequence
	}
	close(c.moved)
	c.moved = make(chan struct{})
}

// errSkipped says that the consumer was not given messages that the stream holds, so that its account would be wrong.
var errSkipped = errors.New("the consumer was not given every message of the stream")

// CaughtUp waits until everything that the stream holds now has been delivered.
func (c *Consumer) CaughtUp(ctx context.Context) error {
	info, err := c.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	for {
		last, skipped, moved := c.position()
		if last >= info.State.LastSeq {
			if skipped > 0 {
				return fmt.Errorf("%w: %d are missing", errSkipped, skipped)
			}
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the consumer is at %d of %d messages: %w", last, info.State.LastSeq, context.Cause(ctx))
		}
	}
}

func (c *Consumer) position() (last, skipped uint64, moved <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.skipped, c.moved
}

// Close ends the consumer and its connection, and waits until nothing is delivered any more.
func (c *Consumer) Close() {
	c.running.Stop()
	<-c.running.Closed()
	c.conn.Close()
}

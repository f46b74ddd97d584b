package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// proofTimeout is how long the stream may be silent while it is read back.
const proofTimeout = 30 * time.Second

// prove reads the stream as a consumer and fails unless it holds every event of the workload once, and those of each key in the order of
// their ids. It returns when the broker stored each event, by number.
func prove(ctx context.Context, stream natsjs.Stream, w workload) ([]time.Time, error) {
	consumer, err := stream.OrderedConsumer(ctx, natsjs.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read the stream back: %w", err)
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(10_000))
	if err != nil {
		return nil, fmt.Errorf("read the stream back: %w", err)
	}
	defer messages.Stop()
	p := proof{w: w, at: make([]time.Time, w.events), last: make(map[string]int64)}
	for read := range w.events {
		m, err := nextMessage(ctx, messages)
		if err != nil {
			return nil, fmt.Errorf("read the stream back, which holds %d of %d events: %w", read, w.events, err)
		}
		if err := p.take(m); err != nil {
			return nil, err
		}
	}
	info, err := stream.Info(ctx)
	if err == nil && info.State.Msgs != uint64(w.events) {
		err = fmt.Errorf("the stream holds %d events instead of %d", info.State.Msgs, w.events)
	}
	return p.at, err
}

func nextMessage(ctx context.Context, messages natsjs.MessagesContext) (natsjs.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	return messages.Next(natsjs.NextContext(ctx))
}

// proof is what is known of the events that were read.
type proof struct {
	w    workload
	at   []time.Time      // by number; the zero time for those not read yet
	last map[string]int64 // the last id, by key
}

func (p *proof) take(m natsjs.Msg) error {
	headers := m.Headers()
	number, err := p.w.number(headers.Get(headerID))
	if err != nil {
		return err
	}
	if !p.at[number].IsZero() {
		return fmt.Errorf("event %d is stored twice", number)
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	p.at[number] = meta.Timestamp
	key := headers.Get(headerKey)
	id, err := strconv.ParseInt(headers.Get(headerSeq), 10, 64)
	if err != nil {
		return fmt.Errorf("event %d has no number in its header %s: %w", number, headerSeq, err)
	}
	if last, known := p.last[key]; known && id <= last {
		return fmt.Errorf("key %s: the event with id %d is stored behind the one with id %d", key, id, last)
	}
	p.last[key] = id
	return nil
}

package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// page is how many events are asked for at once.
	page = 100
	// ackWait is after how long the server gives out again what was not acknowledged. It is longer than a page takes, and not much
	// longer: what a consumer had been given when it was killed is missing for so long, and later events of its keys are early.
	ackWait = 5 * time.Second
	// earlyPause is the pause before an event is tried again that came before an earlier one of its key.
	earlyPause = time.Second
)

// jetStream reads a stream through a durable consumer, in which the server remembers what was acknowledged.
type jetStream struct {
	work
	js           jetstream.JetStream
	stream, name string
}

// read returns when the server is away or ctx ends.
func (r *jetStream) read(ctx context.Context) error {
	consumer, err := r.js.CreateOrUpdateConsumer(ctx, r.stream, jetstream.ConsumerConfig{
		Durable: r.name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 2 * page,
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(page, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return err
		}
		for msg := range batch.Messages() {
			if err := r.handle(ctx, msg); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
	}
	return nil
}

// handle acknowledges after the effect. An acknowledgement that is lost, or too late, brings the event again, which is seen then.
func (r *jetStream) handle(ctx context.Context, msg jetstream.Msg) error {
	e, broken := fromJetStream(msg)
	if err := r.do(ctx, e, broken); err != nil {
		return msg.NakWithDelay(earlyPause)
	}
	return msg.Ack()
}

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// latencies are the times from a commit's return to the broker's own time of storing, sorted.
type latencies []time.Duration

func (l latencies) at(quantile float64) time.Duration {
	return l[min(len(l)-1, int(quantile*float64(len(l))))]
}

// latency commits events at a steady rate, one transaction each, and asks the stream when it stored them.
func (s *stand) latency(ctx context.Context) (latencies, error) {
	if err := s.empty(ctx); err != nil {
		return nil, err
	}
	stream, err := s.freshStream(ctx)
	if err != nil {
		return nil, err
	}
	var committed map[string]time.Time
	err = s.withRelay(ctx, defaultRetention, func(r *relay.Relay) error {
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
		committed, err = s.commitSteadily(ctx)
		if err != nil {
			return err
		}
		return s.waitSettled(ctx, r, len(committed))
	})
	if err != nil {
		return nil, err
	}
	return storedAfter(ctx, stream, committed)
}

// commitSteadily returns when the commit of each event returned, by event id.
func (s *stand) commitSteadily(ctx context.Context) (map[string]time.Time, error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	var failed error
	committed := make(map[string]time.Time)
	turns := make(chan int)
	for range 4 {
		wait.Go(func() {
			for i := range turns {
				id, err := s.commitOne(ctx, i)
				now := time.Now()
				mu.Lock()
				if failed == nil {
					failed = err
				}
				committed[id] = now
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(s.o.rate))
	defer tick.Stop()
	for i := range int(s.o.lasting.Seconds() * float64(s.o.rate)) {
		<-tick.C
		turns <- i
	}
	close(turns)
	wait.Wait()
	return committed, failed
}

func (s *stand) commitOne(ctx context.Context, i int) (id string, err error) {
	event := outbox.Raw{
		Subject: fmt.Sprintf("game.player.%d.moved", i%1000), Key: fmt.Sprint(i % 1000), Payload: make([]byte, s.o.size),
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "select outbox.publish_bytes($1, $2, $3)::text", event.Subject, event.Payload, event.Key).Scan(&id)
	})
	return id, err
}

func storedAfter(ctx context.Context, stream natsjs.Stream, committed map[string]time.Time) (latencies, error) {
	consumer, err := stream.OrderedConsumer(ctx, natsjs.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	var all latencies
	for range committed {
		m, err := messages.Next(natsjs.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		at, known := committed[m.Headers().Get("Nats-Msg-Id")]
		if !known {
			return nil, fmt.Errorf("event %s was never committed", m.Headers().Get("Nats-Msg-Id"))
		}
		all = append(all, meta.Timestamp.Sub(at))
	}
	slices.Sort(all)
	return all, nil
}

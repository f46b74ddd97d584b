package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/relay"
)

// drain lets a relay publish a full outbox, from its start until the table is empty, and proves what came of it.
func (s *stand) drain(ctx context.Context) (float64, error) {
	if err := s.fill(ctx); err != nil {
		return 0, err
	}
	stream, err := s.freshStream(ctx)
	if err != nil {
		return 0, err
	}
	var rate float64
	err = s.withRelay(ctx, func(r *relay.Relay) error {
		began, used := time.Now(), cpuTime()
		if err := s.waitEmpty(ctx, r, s.o.events); err != nil {
			return err
		}
		rate = s.perSecond(began)
		s.cpu = append(s.cpu, (cpuTime()-used)/time.Duration(s.o.events))
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := s.requireStored(ctx, stream); err != nil {
		return 0, err
	}
	return rate, s.requireOrder(ctx, stream)
}

// waitEmpty returns when the relay has published some events and the table is empty. The table is looked at only then: each
// look costs the server more than publishing does, for it passes over all rows that were just deleted.
func (s *stand) waitEmpty(ctx context.Context, r *relay.Relay, events int) error {
	for r.Status().Published < uint64(events) {
		if !sleep(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	for {
		var left bool
		if err := s.pool.QueryRow(ctx, "select exists (select from outbox.events)").Scan(&left); err != nil || !left {
			return err
		}
		if !sleep(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
}

// requireOrder reads the stream as a client and fails unless the ids of each key rise.
func (s *stand) requireOrder(ctx context.Context, stream natsjs.Stream) error {
	consumer, err := stream.OrderedConsumer(ctx, natsjs.OrderedConsumerConfig{HeadersOnly: true})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(natsjs.PullMaxMessages(10_000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	last := make(map[string]int64)
	for range s.o.events {
		m, err := messages.Next(natsjs.NextContext(ctx))
		if err != nil {
			return err
		}
		key := m.Headers().Get("Outbox-Key")
		id, err := strconv.ParseInt(m.Headers().Get("Outbox-Seq"), 10, 64)
		if err != nil {
			return err
		}
		if id <= last[key] {
			return fmt.Errorf("key %s: id %d is stored behind %d", key, id, last[key])
		}
		last[key] = id
	}
	return nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // cannot fail with these arguments
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// idle returns the share of one core that a relay without work takes.
func (s *stand) idle(ctx context.Context) (float64, error) {
	const lasting = 10 * time.Second
	var share float64
	err := s.withRelay(ctx, func(*relay.Relay) error {
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
		used := cpuTime()
		if !sleep(ctx, lasting) {
			return ctx.Err()
		}
		share = float64(cpuTime()-used) / float64(lasting)
		return nil
	})
	return share, err
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

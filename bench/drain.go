package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/relay"
)

// drain lets a relay publish a full outbox, from its start until everything is settled, and proves what came of it.
func (s *stand) drain(ctx context.Context, retention time.Duration) (float64, error) {
	if err := s.fill(ctx); err != nil {
		return 0, err
	}
	return s.drainFilled(ctx, retention)
}

func (s *stand) drainFilled(ctx context.Context, retention time.Duration) (float64, error) {
	stream, err := s.freshStream(ctx)
	if err != nil {
		return 0, err
	}
	var rate float64
	err = s.withRelay(ctx, retention, func(r *relay.Relay) error {
		began, used := time.Now(), cpuTime()
		if err := s.waitSettled(ctx, r, s.o.events); err != nil {
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

// drainDefault is drain as the relay is installed.
func (s *stand) drainDefault(ctx context.Context) (float64, error) {
	return s.drain(ctx, defaultRetention)
}

// drainDeleting is drain without retention.
func (s *stand) drainDeleting(ctx context.Context) (float64, error) { return s.drain(ctx, 0) }

// drainBesideSnapshot is drain while a transaction holds a snapshot from before the first event, so that no dead row can be removed.
func (s *stand) drainBesideSnapshot(ctx context.Context) (rate float64, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := s.fill(ctx); err != nil {
		return 0, err
	}
	return rate, pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select count(*) from outbox.schema_version"); err != nil { // takes the snapshot
			return err
		}
		rate, err = s.drainFilled(ctx, defaultRetention)
		return err
	})
}

// waitSettled returns when the relay has published some events and nothing is left. The table is looked at only then: a
// look costs the server more than publishing does, where it passes over all rows that were just deleted.
func (s *stand) waitSettled(ctx context.Context, r *relay.Relay, events int) error {
	for r.Status().Published < uint64(events) {
		if !sleep(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	for {
		if b, err := relay.ReadBacklog(ctx, s.pool); err != nil || b.Events == 0 {
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
	err := s.withRelay(ctx, defaultRetention, func(*relay.Relay) error {
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

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// memory is a broker in memory, with dedup by event id, that fails as it is told to. The engine is tested against it where
// the database is the subject; the real brokers have their own tests.
type memory struct {
	fault func(events []relay.Event) ([]relay.Outcome, error) // nil, or nil outcomes, for none

	mu     sync.Mutex
	stored []relay.Event
	seen   map[outbox.ID]bool
}

func (m *memory) Name() string                { return "memory" }
func (m *memory) Close(context.Context) error { return nil }

func (m *memory) Publish(_ context.Context, events []relay.Event) ([]relay.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	outcomes := make([]relay.Outcome, len(events))
	var err error
	if m.fault != nil {
		if faulty, cause := m.fault(events); faulty != nil {
			outcomes, err = faulty, cause
			for i := range events {
				if outcomes[i].Stored {
					m.store(events[i])
				}
			}
			return outcomes, err
		}
	}
	for i := range events {
		outcomes[i] = relay.Outcome{Stored: true, Duplicate: !m.store(events[i])}
	}
	return outcomes, nil
}

func (m *memory) store(event relay.Event) (isNew bool) {
	if m.seen == nil {
		m.seen = make(map[outbox.ID]bool)
	}
	if m.seen[event.EventID] {
		return false
	}
	m.seen[event.EventID] = true
	m.stored = append(m.stored, event)
	return true
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.stored)
}

// subjects returns those of the events, in the order in which they were stored.
func (m *memory) subjects() (subjects []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.stored {
		subjects = append(subjects, m.stored[i].Subject)
	}
	return subjects
}

func (m *memory) moves(t testing.TB) []move {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	moves := make([]move, len(m.stored))
	for i, event := range m.stored {
		require.NoError(t, json.Unmarshal(event.Payload, &moves[i]))
		require.Equal(t, moves[i].Key, event.Key)
	}
	return moves
}

// TestReaderUnderRandomLoad is the proof of the reader: transactions of every kind, at random, against a real Postgres.
func TestReaderUnderRandomLoad(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	g := newGame(t, db, 30, "game")
	broker := &memory{}
	r := startRelay(t, db.URL, broker, nil)
	g.run(t, 12, 15*time.Second)
	requireSettled(t, db.Pool)
	g.requireWhole(t, broker.moves(t))
	t.Logf("%d events", broker.count())
	require.Zero(t, r.Status().Duplicates, "an event was published twice")
}

// TestReaderWithUnreliableBroker adds a broker that fails in every way the contract allows.
func TestReaderWithUnreliableBroker(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	g := newGame(t, db, 30, "game")
	broker := &memory{fault: randomFault}
	startRelay(t, db.URL, broker, func(c *relay.Config) {
		c.BackoffMin, c.BackoffMax, c.MaxAttempts = time.Millisecond, 20*time.Millisecond, 0
	})
	g.run(t, 8, 10*time.Second)
	requireSettled(t, db.Pool)
	g.requireWhole(t, broker.moves(t))
}

// randomFault stores a random part of a batch, keeping the promise that nothing of a key is stored behind its failure.
func randomFault(events []relay.Event) ([]relay.Outcome, error) {
	outcomes := make([]relay.Outcome, len(events))
	switch rand.IntN(6) {
	case 0:
		return outcomes, fmt.Errorf("%w: on purpose", relay.ErrUnavailable)
	case 1: // a prefix, then silence
		for i := range rand.IntN(len(events) + 1) {
			outcomes[i].Stored = true
		}
		return outcomes, errors.New("ambiguous on purpose")
	case 2: // some keys fail
		failed := make(map[string]bool)
		for i := range events {
			if failed[events[i].Key] || rand.IntN(10) == 0 {
				failed[events[i].Key] = true
				outcomes[i].Err = errors.New("refused on purpose")
				continue
			}
			outcomes[i].Stored = true
		}
		return outcomes, nil
	case 3:
		return outcomes, nil // a forgetful publisher
	default:
		return nil, nil
	}
}

package deadletter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// fakeLedger is a stream in memory.
type fakeLedger struct {
	state  relay.StreamState
	events []relay.StoredEvent
	err    error // of Scan
}

func (f *fakeLedger) Inspect(context.Context) (relay.StreamState, error) { return f.state, nil }
func (f *fakeLedger) Accept(relay.StreamState)                           {}

func (f *fakeLedger) Scan(_ context.Context, scan relay.Scan, found func(relay.StoredEvent) error) error {
	for _, event := range f.events {
		if event.Sequence < scan.First || event.Sequence > scan.Last || event.StoredAt.Before(scan.Since) {
			continue
		}
		if err := found(event); err != nil {
			return err
		}
	}
	return f.err
}

// store adds an event at the end of the stream.
func (f *fakeLedger) store(eventID outbox.ID, id int64, at time.Time) {
	f.state.Last++
	f.events = append(f.events, relay.StoredEvent{Sequence: f.state.Last, ID: id, EventID: eventID, Subject: "game.a", StoredAt: at})
}

func newFake() *fakeLedger {
	return &fakeLedger{state: relay.StreamState{Stream: "s", Incarnation: "1", First: 1, DuplicateWindow: 2 * time.Minute}}
}

func observe(t *testing.T, ledger relay.Ledger) *Stream {
	t.Helper()
	s, err := Observe(t.Context(), ledger)
	require.NoError(t, err)
	return s
}

func acknowledged(id int64) Retried {
	return Retried{ID: id, NewID: id, EventID: outbox.NewID(), Subject: "game.a", Outcome: Acknowledged}
}

func TestCompareTellsStoredFromDropped(t *testing.T) {
	t.Parallel()
	ledger := newFake()
	stored, held, removed, reused, dead := acknowledged(1), acknowledged(2), acknowledged(3), acknowledged(4), acknowledged(5)
	dead.Outcome = Dead
	now := time.Now()
	ledger.store(removed.EventID, 3, now.Add(-time.Hour)) // too long ago to be recognised
	ledger.store(held.EventID, 2, now.Add(-time.Minute))
	ledger.store(reused.EventID, 77, now.Add(-time.Minute))
	ledger.events[2].Subject = "game.other"
	s := observe(t, ledger)
	ledger.store(stored.EventID, 1, now)

	retried := []Retried{stored, held, removed, reused, dead}
	doubt, err := s.Compare(t.Context(), retried)
	require.NoError(t, err)
	require.Empty(t, doubt)
	outcomes := make([]Outcome, len(retried))
	for i := range retried {
		outcomes[i] = retried[i].Outcome
	}
	require.Equal(t, []Outcome{Stored, Duplicate, Duplicate, Duplicate, Dead}, outcomes)
	require.EqualValues(t, 2, retried[1].Found.Sequence)
	require.False(t, retried[1].Dropped(), "the stream holds it")
	require.True(t, retried[2].Dropped(), "the stream does not hold it")
	require.True(t, retried[3].Dropped(), "what the stream holds is another event")
	require.False(t, retried[4].Dropped())
}

func TestTwoDeadLettersWithOneEventID(t *testing.T) {
	t.Parallel()
	ledger := newFake()
	first, second := acknowledged(1), acknowledged(2)
	second.EventID = first.EventID
	s := observe(t, ledger)
	ledger.store(first.EventID, 1, time.Now())
	retried := []Retried{first, second}
	_, err := s.Compare(t.Context(), retried)
	require.NoError(t, err)
	require.Equal(t, Stored, retried[0].Outcome)
	require.Equal(t, Duplicate, retried[1].Outcome)
	require.EqualValues(t, 1, retried[1].Found.ID)
}

func TestCompareDoubtsAStreamThatRemovesEvents(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*relay.StreamState){
		"removes events by itself: consumers": func(s *relay.StreamState) { s.Expires = "consumers" },
		"has removed what it held":            func(s *relay.StreamState) { s.First, s.Last = 12, 20 },
		"has lost events meanwhile":           func(s *relay.StreamState) { s.Incarnation = "2" },
	} {
		ledger := newFake()
		s := observe(t, ledger)
		change(&ledger.state)
		retried := []Retried{acknowledged(1)}
		doubt, err := s.Compare(t.Context(), retried)
		require.NoError(t, err)
		require.Contains(t, doubt, want)
		require.Equal(t, Acknowledged, retried[0].Outcome)
	}
}

func TestCompareReturnsTheErrorsOfTheLedger(t *testing.T) {
	t.Parallel()
	ledger := newFake()
	s := observe(t, ledger)
	ledger.store(outbox.NewID(), 9, time.Now())
	ledger.err = errors.New("gone")
	_, err := s.Compare(t.Context(), []Retried{acknowledged(1)})
	require.ErrorIs(t, err, ledger.err)
}

func TestCompareLooksForNothingIfNothingWasAcknowledged(t *testing.T) {
	t.Parallel()
	ledger := newFake()
	s := observe(t, ledger)
	ledger.err = errors.New("not to be asked")
	doubt, err := s.Compare(t.Context(), []Retried{{Outcome: Dead}, {Outcome: Waits}})
	require.NoError(t, err)
	require.Empty(t, doubt)
}

package relay

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// shelf is a stream as a list, whose first event has sequence 1.
type shelf struct {
	events []StoredEvent
	scans  []Scan
	err    error
	fails  int // of which look on; 0 for none
}

func (s *shelf) Inspect(context.Context) (StreamState, error) { return StreamState{}, nil }
func (s *shelf) Accept(StreamState)                           {}
func (s *shelf) Scan(_ context.Context, scan Scan, found func(StoredEvent) error) error {
	s.scans = append(s.scans, scan)
	if s.fails > 0 && len(s.scans) >= s.fails {
		return s.err
	}
	for _, event := range s.events {
		if event.Sequence >= scan.First && event.Sequence <= scan.Last {
			if err := found(event); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestDuplicatesAreCompared(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	event := Event{ID: 7, EventID: outbox.ID{1}, Subject: "game.a", Key: "k", Payload: []byte("x"), CreatedAt: created}
	same := StoredEvent{Sequence: 5, ID: 7, EventID: outbox.ID{1}, Subject: "game.a", Key: "k", Payload: []byte("x"), CreatedAt: created}
	for name, test := range map[string]struct {
		change func(*StoredEvent)
		taken  string // in what it differs; empty for the same event
	}{
		"the event itself":                 {func(*StoredEvent) {}, ""},
		"written twice":                    {func(e *StoredEvent) { e.ID, e.CreatedAt = 3, created.Add(time.Hour) }, ""},
		"stored under another subject":     {func(e *StoredEvent) { e.Subject = "mapped.a" }, ""},
		"a row of another outbox":          {func(e *StoredEvent) { e.Subject, e.CreatedAt = "game.b", created.Add(1) }, "subject"},
		"another subject":                  {func(e *StoredEvent) { e.ID, e.Subject = 3, "game.b" }, "subject"},
		"another key":                      {func(e *StoredEvent) { e.Key = "" }, "key"},
		"another payload":                  {func(e *StoredEvent) { e.Payload = nil }, "payload"},
		"another subject, key and payload": {func(e *StoredEvent) { e.ID, e.Subject, e.Key, e.Payload = 3, "game.b", "l", []byte("y") }, "subject, key, payload"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := same
			test.change(&found)
			outcomes := []Outcome{{Stored: true, Duplicate: true, Sequence: 5}}
			removed, err := newComparison(&shelf{events: []StoredEvent{found}}, []Event{event}, outcomes).run(t.Context())
			require.NoError(t, err)
			require.Zero(t, removed)
			if test.taken == "" {
				require.Equal(t, []Outcome{{Stored: true, Duplicate: true, Sequence: 5}}, outcomes)
				return
			}
			permanent, ok := errors.AsType[*PermanentError](outcomes[0].Err)
			require.True(t, ok)
			require.Equal(t, ReasonIDTaken, permanent.Reason)
			require.ErrorContains(t, permanent, "differ in "+test.taken+";")
			require.False(t, outcomes[0].Stored)
		})
	}
}

// Neighbours are read in one look, what the stream has removed counts as stored, and what could not be read
// is published again.
func TestHowDuplicatesAreRead(t *testing.T) {
	t.Parallel()
	events, outcomes := make([]Event, 6), make([]Outcome, 6)
	for i, sequence := range []uint64{10, 11, 74, 500, 500, 900} {
		outcomes[i] = Outcome{Stored: true, Duplicate: true, Sequence: sequence}
	}
	stream := &shelf{events: []StoredEvent{{Sequence: 10}, {Sequence: 74}, {Sequence: 500}}}
	removed, err := newComparison(stream, events, outcomes).run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, removed, "11 and 900")
	require.Equal(t, []Scan{
		{First: 10, Last: 74, Payloads: true}, {First: 500, Last: 500, Payloads: true}, {First: 900, Last: 900, Payloads: true},
	}, stream.scans)

	stream = &shelf{events: stream.events, err: ErrUnavailable, fails: 2}
	_, err = newComparison(stream, events, outcomes).run(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	require.True(t, outcomes[0].Stored && outcomes[1].Stored && outcomes[2].Stored)
	require.Equal(t, make([]Outcome, 3), outcomes[3:])
}

func TestThereIsNothingToCompare(t *testing.T) {
	t.Parallel()
	events := make([]Event, 2)
	require.Nil(t, newComparison(&shelf{}, events, []Outcome{{Stored: true, Sequence: 4}, {}}))
	require.Nil(t, newComparison(&shelf{}, events, []Outcome{{Stored: true, Duplicate: true}, {}}), "its place is not known")
	require.Nil(t, newComparison(nil, events, []Outcome{{Stored: true, Duplicate: true, Sequence: 3}, {}}), "the broker cannot be asked")
}

// A call that meets very many scattered ones goes on with those that are left.
func TestComparisonIsBounded(t *testing.T) {
	t.Parallel()
	const many = compareLooks + 10
	events, outcomes := make([]Event, many), make([]Outcome, many)
	stream := &shelf{}
	for i := range outcomes {
		sequence := uint64(1000 * (i + 1))
		outcomes[i] = Outcome{Stored: true, Duplicate: true, Sequence: sequence}
		stream.events = append(stream.events, StoredEvent{Sequence: sequence})
	}
	_, err := newComparison(stream, events, outcomes).run(t.Context())
	require.ErrorIs(t, err, ErrNotSent)
	require.Len(t, stream.scans, compareLooks)
	require.Equal(t, make([]Outcome, 10), outcomes[compareLooks:])
}

// A duplicate that could not be compared waits for the broker, also in a call that ended early.
func TestAnEventThatCannotBeComparedIsNotSettled(t *testing.T) {
	t.Parallel()
	duplicate := []Event{event(1, "a")}
	for name, ended := range map[string]error{"a whole call": nil, "a call that ended early": ErrNotSent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, duplicate, func([]Event) ([]Outcome, error) {
				return []Outcome{{Stored: true, Duplicate: true, Sequence: 9}}, ended
			})
			b.ledger = &shelf{err: ErrUnavailable, fails: 1}
			outcomes, err := b.publish(t.Context(), duplicate)
			require.ErrorIs(t, err, ErrUnavailable)
			require.Equal(t, []Outcome{{}}, outcomes)
		})
	}
}

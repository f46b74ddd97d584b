package relay

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

func identities(ids ...int64) []identity {
	all := make([]identity, len(ids))
	for i, id := range ids {
		all[i] = identity{id: id, eventID: outbox.ID{byte(id)}}
	}
	return all
}

func TestSettlerTriesUntilTheDatabaseTakesIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, []Event{event(1, ""), event(2, "")})
	var failures atomic.Int32
	b.settler.write = func(ctx context.Context, news acknowledged) error {
		if failures.Add(1) <= 5 {
			return errors.New("connection refused")
		}
		return b.settle(ctx, news)
	}
	in := make(chan settlement, 2)
	flying := newFlight([]Event{event(1, ""), event(2, "")})
	in <- settlement{stored: identities(1), from: flying}
	in <- settlement{stored: identities(2), from: flying}
	close(in)
	require.NoError(t, b.settler.run(t.Context(), in))
	require.Zero(t, b.rows())
	require.True(t, flying.landed())
	require.Empty(t, b.track.databaseTrouble())
}

func TestSettlerGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.settler.write = func(context.Context, acknowledged) error { return errors.New("connection refused") }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	in := make(chan settlement, 1)
	in <- settlement{stored: identities(1), from: newFlight([]Event{event(1, "")})}
	require.ErrorIs(t, b.settler.run(ctx, in), context.DeadlineExceeded)
	require.Contains(t, b.track.databaseTrouble(), "connection refused")
}

func TestDeadLetterTextFitsPostgres(t *testing.T) {
	t.Parallel()
	long := slices.Repeat([]byte("é"), maxErrorText) // cut in the middle of a letter
	dead := newDeadLetter(identity{}, nil, ReasonRefused, errors.New("x"+string(long)), failures{})
	require.LessOrEqual(t, len(dead.text), maxErrorText)
	require.NotContains(t, dead.text, "\xc3?")
	require.Equal(t, "?", dead.text[len(dead.text)-1:])
}

// TestSequencesBoundWhereEventsLie is what receipts say: not before the last sequence that was settled, unless the broker had an
// event already, and not behind the highest that it told.
func TestSequencesBoundWhereEventsLie(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.settler.last, b.settler.place.stream = 100, "game"
	settle := func(outcomes ...Outcome) {
		t.Helper()
		var news settlement
		for i := range outcomes {
			e := event(int64(i), "")
			news.add(&e, &outcomes[i])
		}
		in := make(chan settlement, 1)
		in <- news
		close(in)
		require.NoError(t, b.settler.run(t.Context(), in))
	}
	settle(Outcome{Sequence: 103}, Outcome{Sequence: 103})
	settle(Outcome{Sequence: 50, Duplicate: true}, Outcome{Sequence: 104})
	settle(Outcome{}) // the broker tells nothing
	settle(Outcome{Sequence: 110})
	var got [][3]uint64
	for _, each := range b.news {
		got = append(got, [3]uint64{each.first, each.last, each.position})
	}
	const unknown = math.MaxInt64
	require.Equal(t, [][3]uint64{{101, 103, 103}, {50, 104, 104}, {105, unknown, 104}, {105, 110, 110}}, got)
}

func TestSettlingWaitsForCompany(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	in := make(chan settlement)
	done := make(chan error, 1)
	go func() { done <- b.settler.run(t.Context(), in) }()
	for id := range int64(20) {
		in <- settlement{stored: identities(id + 1), from: newFlight([]Event{event(id+1, "")})}
	}
	close(in)
	require.NoError(t, <-done)
	require.Len(t, b.settled, 20)
	require.LessOrEqual(t, len(b.news), 5, "not a statement each")
}

// TestSettlingKeepsItsPace is that of a trickle, and of what comes after a pause.
func TestSettlingKeepsItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		began := time.Now()
		var settled []time.Duration
		var events []int
		b.settler.write = func(_ context.Context, news acknowledged) error {
			settled, events = append(settled, time.Since(began)), append(events, len(news.events))
			return nil
		}
		in := make(chan settlement)
		done := make(chan error, 1)
		go func() { done <- b.settler.run(t.Context(), in) }()
		publish := func() { in <- settlement{stored: identities(1), from: newFlight([]Event{event(1, "")})} }
		for range 40 {
			publish()
			<-time.After(21 * time.Millisecond)
		}
		<-time.After(time.Minute)
		publish()
		<-time.After(time.Minute)
		close(in)
		require.NoError(t, <-done)
		ms := time.Millisecond
		require.Equal(t, []time.Duration{0, 250 * ms, 500 * ms, 750 * ms, 819*ms + settlePause, 840*ms + time.Minute}, settled,
			"the first at once, then four a second, the last after a pause, and at once again after a quiet minute")
		require.Equal(t, []int{1, 11, 12, 12, 4, 1}, events)
	})
}

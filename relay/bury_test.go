package relay

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dead(from *flight, ids ...int64) []deadLetter {
	all := make([]deadLetter, len(ids))
	for i, each := range identities(ids...) {
		all[i] = newDeadLetter(each, from, ReasonRefused, errors.New("bad\x00"), failures{})
	}
	return all
}

func TestDeadLettersThatAreRefusedHoldUpNobody(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, ""), event(2, ""), event(3, "")}
	b := newBench(t, events)
	var refused atomic.Int32
	b.burier.move = func(ctx context.Context, dead []deadLetter) error {
		if refused.Add(1) == 1 {
			return errors.New("permission denied for table dead_letters")
		}
		return b.move(ctx, dead)
	}
	in, letters := make(chan settlement), make(chan []deadLetter)
	b.settler.dead = letters
	done := make(chan error, 2)
	go func() { done <- b.settler.run(t.Context(), in) }()
	go func() { b.burier.run(t.Context(), letters); done <- nil }()
	flying := newFlight(events)
	in <- settlement{dead: dead(flying, 1), from: flying}
	in <- settlement{stored: identities(2), from: flying}
	in <- settlement{stored: identities(3), from: flying}
	require.Eventually(t, func() bool { return b.rows() == 1 }, 5*time.Second, time.Millisecond, "others are settled meanwhile")
	require.Equal(t, map[int64]struct{}{1: {}}, b.burier.parked.snapshot(), "the sweep must not take the refused one for forgotten")
	require.Eventually(t, func() bool { return b.rows() == 0 }, 5*time.Second, time.Millisecond, "it is tried again without news")
	close(in)
	close(letters)
	require.NoError(t, errors.Join(<-done, <-done))
	require.True(t, flying.landed())
	require.Zero(t, b.burier.parked.len())
	require.Equal(t, "bad", b.dead[0].text, "Postgres stores no NUL")
}

// TestBuryingWaitsWhileThereIsABacklog is about its share of the time, and about its end: then everything is buried at once.
func TestBuryingWaitsWhileThereIsABacklog(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var moves atomic.Int32
	b.burier.move = func(ctx context.Context, dead []deadLetter) error {
		moves.Add(1)
		<-time.After(5 * time.Millisecond) // what a statement takes
		return b.move(ctx, dead)
	}
	b.burier.behind = func() bool { return true }
	var ids []int64
	for id := range int64(10 * buryEvents) {
		ids = append(ids, id)
	}
	flying := newFlight(nil)
	in := make(chan []deadLetter)
	done := make(chan struct{})
	go func() { defer close(done); b.burier.run(t.Context(), in) }()
	began := time.Now()
	in <- dead(flying, ids...)
	require.Eventually(t, func() bool { return moves.Load() == 2 }, 5*time.Second, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(began), buryShare*5*time.Millisecond)
	close(in)
	<-done
	require.Len(t, b.dead, len(ids))
	require.Zero(t, b.burier.size)
}

// TestABurierTakesNoMoreThanItCanHold lets the settle loop wait, and with it everything else, while Postgres refuses dead letters.
func TestABurierTakesNoMoreThanItCanHold(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var allow atomic.Bool
	b.burier.move = func(ctx context.Context, dead []deadLetter) error {
		if !allow.Load() {
			return errors.New("disk full")
		}
		return b.move(ctx, dead)
	}
	b.burier.dead = make([]deadLetter, 1)
	b.burier.dead[0].text = strings.Repeat("x", maxUnburied)
	b.burier.size = b.burier.dead[0].size()
	in := make(chan []deadLetter)
	done := make(chan struct{})
	go func() { defer close(done); b.burier.run(t.Context(), in) }()
	require.Eventually(t, func() bool { return b.track.snapshot().NotReady != "" }, 5*time.Second, time.Millisecond)
	select {
	case in <- dead(newFlight(nil), 2):
		t.Fatal("taken")
	default:
	}
	allow.Store(true)
	in <- dead(newFlight(nil), 2)
	close(in)
	<-done
	require.Len(t, b.dead, 2)
}

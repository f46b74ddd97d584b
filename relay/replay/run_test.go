package replay

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay/selection"
)

func TestStepsAreSmallWhereTheRateIs(t *testing.T) {
	t.Parallel()
	for perSecond, want := range map[int]int{0: stepEvents, 1: 1, 9: 1, 100: 20, 1000: 200, 1_000_000: stepEvents} {
		require.Equal(t, want, Options{Rate: perSecond}.stepLimit(), perSecond)
	}
}

func TestBoundsOfASelection(t *testing.T) {
	t.Parallel()
	after, end := bounds(selection.Selection{})
	require.Zero(t, after)
	require.EqualValues(t, math.MaxInt64, end)
	after, end = bounds(selection.Selection{First: 5, Last: 9})
	require.EqualValues(t, 4, after)
	require.EqualValues(t, 9, end)
}

func TestTheTokenBucketBeginsEmpty(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, newPacer(0, stepEvents).WaitN(t.Context(), stepEvents), "no rate, no wait")
	require.Error(t, newPacer(1, 1).WaitN(ctx, 1))
}

// ledger is a pacer that writes down what it is asked for.
type ledger []int

func (l *ledger) WaitN(ctx context.Context, n int) error {
	*l = append(*l, n)
	return ctx.Err()
}

// copyingOf returns a runner that copies the given numbers of events, a step each.
func copyingOf(pace pacer, steps ...int) runner {
	return runner{pace: pace, progress: func(Replay) {}, step: func(_ context.Context, r Replay) (Replay, int, error) {
		copied := steps[r.LastID]
		r.LastID, r.Events = r.LastID+1, r.Events+int64(copied)
		if int(r.LastID) == len(steps) {
			r.FinishedAt = new(time.Time)
		}
		return r, copied, nil
	}}
}

func TestEveryStepIsPaidForBeforeTheNext(t *testing.T) {
	t.Parallel()
	var paid ledger
	done, err := copyingOf(&paid, 200, 0, 13, 200).run(t.Context(), Replay{})
	require.NoError(t, err)
	require.True(t, done.Finished())
	require.EqualValues(t, 413, done.Events)
	require.Equal(t, ledger{200, 0, 13}, paid, "nobody waits after the last")
}

func TestAnInterruptedReplayGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	work := copyingOf(new(ledger), 5, 6, 7)
	work.progress = func(now Replay) {
		if now.Events == 11 {
			cancel()
		}
	}
	halfway, err := work.run(ctx, Replay{})
	require.ErrorIs(t, err, ErrInterrupted)
	require.EqualValues(t, 11, halfway.Events)
	again, err := work.run(ctx, halfway)
	require.ErrorIs(t, err, ErrInterrupted)
	require.Equal(t, halfway, again, "nothing is begun")
	done, err := work.run(t.Context(), halfway)
	require.NoError(t, err)
	require.EqualValues(t, 18, done.Events)
}

func TestAFailedStepLeavesThePlace(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	work := runner{pace: new(ledger), step: func(context.Context, Replay) (Replay, int, error) { return Replay{}, 0, broken }}
	got, err := work.run(t.Context(), Replay{ID: 3, LastID: 40})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "behind id 40")
	require.EqualValues(t, 40, got.LastID)
}

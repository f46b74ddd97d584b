package relay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// looks is a ledger that describes its stream differently as time goes on.
type looks struct {
	Ledger
	state func(elapsed time.Duration) (StreamState, error)
	began time.Time
}

func (l *looks) Inspect(context.Context) (StreamState, error) { return l.state(time.Since(l.began)) }

func TestALossIsBelievedWhenItLasts(t *testing.T) {
	t.Parallel()
	const catchUp = 25 * time.Second
	replicated := func(leader string, last uint64) (StreamState, error) {
		return StreamState{Incarnation: "1", Last: last, Leader: leader, CatchUp: catchUp}, nil
	}
	gone := errors.New("no leader")
	for name, tt := range map[string]struct {
		state func(elapsed time.Duration) (StreamState, error)
		last  uint64
		took  time.Duration
		err   error
	}{
		"one server is believed at once": {
			func(time.Duration) (StreamState, error) { return StreamState{Incarnation: "1", Last: 7}, nil }, 7, 0, nil,
		},
		"another stream is believed at once": {
			func(time.Duration) (StreamState, error) {
				return StreamState{Incarnation: "2", Last: 7, CatchUp: catchUp}, nil
			}, 7, 0, nil,
		},
		"nothing is lost": {
			func(time.Duration) (StreamState, error) { return replicated("n1", 10) }, 10, 0, nil,
		},
		"the leader catches up": {
			func(elapsed time.Duration) (StreamState, error) {
				if elapsed < 10*time.Second {
					return replicated("n1", 7)
				}
				return replicated("n1", 12)
			}, 12, 10 * time.Second, nil,
		},
		"it lasts": {
			func(time.Duration) (StreamState, error) { return replicated("n1", 7) }, 7, catchUp, nil,
		},
		"each leader has its time": {
			func(elapsed time.Duration) (StreamState, error) {
				if elapsed < 20*time.Second {
					return replicated("n1", 7)
				}
				return replicated("n2", 8)
			}, 8, 20*time.Second + catchUp, nil,
		},
		"the leader goes": {
			func(elapsed time.Duration) (StreamState, error) {
				if elapsed < 20*time.Second {
					return replicated("n1", 7)
				}
				return StreamState{}, gone
			}, 7, 20 * time.Second, gone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ledger := &looks{state: tt.state, began: time.Now()}
				r := reconciler{ledger: ledger, track: newTracker(zap.NewNop(), newMetrics(nil, "b"), "r", "b")}
				first, err := ledger.Inspect(t.Context())
				require.NoError(t, err)
				state, err := r.lookAgain(t.Context(), first, position{incarnation: "1", last: 10})
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, tt.last, state.Last)
				require.Equal(t, tt.took, time.Since(ledger.began))
			})
		})
	}
}

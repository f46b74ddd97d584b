package relay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// watched returns which loop was found to stand still within a time, with the limit of its step; empty if none was.
func watched(t *testing.T, l *loops, within time.Duration) (loop string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	l.watch(ctx, watchInterval, func(name string, allowed time.Duration) { loop, limit = name, allowed })
	return loop, limit
}

func TestALoopThatStandsStillIsFound(t *testing.T) {
	t.Parallel()
	for _, pick := range []func(*loops) *progress{
		func(l *loops) *progress { return l.read }, func(l *loops) *progress { return l.publish },
		func(l *loops) *progress { return l.settle }, func(l *loops) *progress { return l.renew },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLoops()
			stuck := pick(l)
			stuck.work(time.Minute)
			began := time.Now()
			loop, limit := watched(t, l, time.Hour)
			require.Equal(t, stuck.loop, loop)
			require.Equal(t, time.Minute, limit)
			require.Less(t, time.Since(began), time.Minute+3*watchInterval)
		})
	}
}

func TestALoopThatTurnsOrHasNothingToDoIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLoops()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				l.publish.work(time.Minute)
				pause(ctx, 50*time.Second)
				l.publish.idle()
				pause(ctx, 10*time.Minute)
			}
		}()
		loop, _ := watched(t, l, 24*time.Hour)
		require.Empty(t, loop)
	})
}

func TestThePublishLimitFollowsFromTheSettings(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	require.Equal(t, 164*time.Second, publishLimit(cfg, 0))
	require.Equal(t, 164*time.Second, publishLimit(cfg, 10*time.Second))
	require.Equal(t, 1064*time.Second, publishLimit(cfg, 100*time.Second))
	cfg.BatchBytes = 64 << 10
	require.Equal(t, 11*time.Second, publishLimit(cfg, time.Second))
}

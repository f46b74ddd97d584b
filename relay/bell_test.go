package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	require.False(t, p.many())
	every := func(slept time.Duration, n int) (fast int) {
		for range n {
			p.add(slept, 1)
			fast += count(p.many())
		}
		return fast
	}
	require.Zero(t, every(2*time.Millisecond, 1000), "500 a second")
	require.Zero(t, every(time.Second/900, 1000), "900 a second")
	require.Positive(t, every(time.Second/1100, 1000), "1,100 a second")
	require.Zero(t, every(time.Hour, 1), "what was is forgotten")
	require.Equal(t, 8, every(0, paceBurst+7), "a reader that does not come to sleep")
}

func TestExcess(t *testing.T) {
	t.Parallel()
	var e excess
	now := time.Unix(0, 0)
	for range 10_000 { // each is followed by its event
		e.add(now, 1)
		e.pay(1)
		require.False(t, e.many())
	}
	e.pay(1000)
	e.add(now, 2*idleBurst)
	require.False(t, e.many(), "half of them may be of events that were found before")
	e.add(now, 1)
	require.True(t, e.many())
	now = now.Add(2 * time.Second / idleRate)
	e.add(now, 1)
	require.False(t, e.many(), "it is forgotten")
	for range 100 * idleBurst {
		now = now.Add(time.Second / idleRate)
		e.add(now, 1)
	}
	require.False(t, e.many(), "slow ones cost little")
}

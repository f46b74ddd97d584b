package relay

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMaySend(t *testing.T) {
	t.Parallel()
	require.True(t, MaySend(t.Context()), "without a lease, the context decides alone")
	ended, end := context.WithCancel(t.Context())
	end()
	require.False(t, MaySend(ended))

	var f fence
	guarded := f.guard(t.Context())
	require.False(t, MaySend(guarded), "no lease was ever taken")
	f.move(sinceBoot(), time.Minute)
	require.True(t, MaySend(guarded))
	require.Less(t, f.left(), 54*time.Second+time.Millisecond, "a tenth before the lease expires")
	require.Greater(t, f.left(), 50*time.Second)
	require.False(t, MaySend(f.guard(ended)))
	f.move(sinceBoot()-54*time.Second, time.Minute)
	require.False(t, MaySend(guarded), "it counts from the moment of asking")
	f.move(sinceBoot(), time.Minute)
	f.shut()
	require.False(t, MaySend(guarded))
}

// TestTheClockSinceBoot is about the one clock that the lease is told by.
func TestTheClockSinceBoot(t *testing.T) {
	t.Parallel()
	before, began := sinceBoot(), time.Now()
	require.Positive(t, before)
	require.Eventually(t, func() bool { return sinceBoot()-before >= 20*time.Millisecond }, 5*time.Second, time.Millisecond)
	require.InDelta(t, time.Since(began).Seconds(), (sinceBoot() - before).Seconds(), 0.01)
}

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
			p.add(slept)
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

package verify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatTheStreamStillRecognisesWaits(t *testing.T) {
	t.Parallel()
	lost := []lostSpan{
		{receipt: 1, settled: time.Now().Add(-time.Hour)},
		{receipt: 2, settled: time.Now().Add(-30 * time.Second)},
		{receipt: 3, settled: time.Now().Add(-90 * time.Second)},
	}
	ripe, young, wait := split(lost, 2*time.Minute)
	require.Equal(t, lost[:1], ripe)
	require.Equal(t, lost[1:], young)
	require.InDelta(t, (90 * time.Second).Seconds(), wait.Seconds(), 5)
}

func TestPortionsOfIDs(t *testing.T) {
	t.Parallel()
	require.Empty(t, portions(nil, 4))
	require.Equal(t, [][]span{{{1, 2}, {5, 6}}, {{7, 10}}, {{11, 12}, {20, 20}}}, portions([]span{{1, 2}, {5, 12}, {20, 20}}, 4))
}

package relay

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACrowdTellsWhoIsInIt(t *testing.T) {
	t.Parallel()
	c := newCrowd()
	for _, id := range []int64{1, 2, 63, 64, 1000, math.MaxInt64, -5} {
		require.False(t, c.has(id, ""))
		c.add(id, "")
		require.True(t, c.has(id, ""))
		require.False(t, c.has(id, "1"), "an id is no key")
	}
	c.add(3, "k")
	require.True(t, c.has(77, "k"))
	require.False(t, c.has(3, ""))
	c.remove(64)
	require.False(t, c.has(64, ""))
	require.True(t, c.has(63, ""))
}

// Ids in a row cost next to nothing, and beyond the limit none is forgotten and few others are taken for one.
func TestACrowdHasNoLimit(t *testing.T) {
	t.Parallel()
	c := newCrowd()
	for id := range int64(3_000_000) {
		c.add(id, "")
	}
	require.Less(t, len(c.ids), 50_000)
	require.Nil(t, c.coarse)

	c.limit = 1000
	const many = 1_000_000
	for n := range many {
		c.add(0, fmt.Sprintf("key %d", n))
	}
	c.add(1<<40, "")
	require.Len(t, c.keys, 1000)
	taken := 0
	for n := range many {
		require.True(t, c.has(0, fmt.Sprintf("key %d", n)))
		if c.has(0, fmt.Sprintf("other %d", n)) {
			taken++
		}
	}
	require.True(t, c.has(1<<40, ""))
	require.Less(t, taken, many/50)
}

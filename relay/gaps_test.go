package relay

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// listed makes a list of writers: "3/1" has no transaction id yet, "3/1=700" has 700.
func listed(names ...string) []heldWriter {
	var list []heldWriter
	for _, name := range names {
		virtual, xid, _ := strings.Cut(name, "=")
		held := heldWriter{Virtual: virtual}
		held.XID, _ = strconv.ParseInt(xid, 10, 64)
		list = append(list, held)
	}
	return list
}

// lookAgain lists the writers and looks at the gaps; seen are the ids of the rows that the look finds.
func (g *gaps) lookAgain(writers []heldWriter, seen ...int64) []gap {
	g.setWriters(writers)
	look := slices.Clone(g.look(maxLooks))
	g.endLook(len(look), seen, math.MaxInt64)
	return look
}

func TestGapClosesWhenItsWritersAreGone(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(5, 7)
	require.True(t, g.any())
	require.True(t, g.needWriters(), "its owners are not known")

	require.Equal(t, []gap{{first: 5, last: 7, round: 1}}, g.lookAgain(listed("3/1=1", "4/1=2")),
		"a new gap is looked at, for its writer may have ended before the list was read")
	require.True(t, g.any(), "two writers may still fill it")
	require.False(t, g.needWriters())

	require.Empty(t, g.lookAgain(listed("3/1=1", "4/1=2", "9/1=3")), "nothing has changed for it")
	require.Len(t, g.lookAgain(listed("4/1=2", "9/1=3"), 6), 1, "one of its writers has gone")
	require.Equal(t, 2, g.len(), "ids 5 and 7 are left")
	require.Len(t, g.lookAgain(listed("9/1=3")), 2)
	require.False(t, g.any(), "9/1 came later and cannot have drawn these ids")
}

func TestGapIsLookedAtOnceASnapshotSeesTheEndOfItsWriter(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(1, 1)
	g.lookAgain(listed("3/1=1", "4/1=2"))
	g.miss(3, 3)
	g.lookAgain(listed("3/1=1", "4/1=2", "5/1=3"))
	require.ElementsMatch(t, []int64{1, 2, 3}, g.watched())

	g.end([]int64{2})
	require.Empty(t, g.watched(), "nothing is left that would not be looked at")
	look := slices.Clone(g.look(maxLooks))
	require.Len(t, look, 2, "both may be its")
	g.endLook(2, []int64{3}, math.MaxInt64)
	require.Equal(t, 1, g.len())
	require.Equal(t, []int64{1}, g.watched(), "3 came after the gap that is left")

	require.Empty(t, g.lookAgain(listed("3/1=1", "4/1=2")), "4/1 is still listed, and has ended all the same")
	require.Len(t, g.lookAgain(listed("4/1=2")), 1)
	require.False(t, g.any(), "an ended writer owns nothing, even while it is listed")
}

func TestGapOfAWriterWithoutAnIDIsAlwaysLookedAt(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(1, 1)
	g.lookAgain(listed("3/1", "4/1=2"))
	require.True(t, g.needWriters(), "it may have an id by now")
	require.Len(t, g.look(maxLooks), 1)
	g.endLook(1, nil, math.MaxInt64)

	require.Len(t, g.lookAgain(listed("3/1", "4/1=2")), 1)
	require.Empty(t, g.lookAgain(listed("3/1=7", "4/1=2")), "now it can be asked for")
	require.False(t, g.needWriters())
	require.ElementsMatch(t, []int64{7, 2}, g.watched())
}

func TestGapSurvivesPrepare(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"3/1", "3/1=700"} {
		g := newGaps()
		g.miss(1, 1)
		g.lookAgain(listed(before))
		g.lookAgain(listed("-1/700=700")) // PREPARE TRANSACTION gave the lock a new name
		require.True(t, g.any(), "the prepared transaction may still commit")
		require.Equal(t, []int64{700}, g.watched())
		require.Len(t, g.lookAgain(nil), 1)
		require.False(t, g.any())
	}
}

func TestGapThatWasCutIsReadOn(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(1, 100)
	g.miss(200, 300)
	g.setWriters(nil)
	require.Len(t, g.look(10), 2)
	g.endLook(2, []int64{1, 2, 3}, 3)
	require.True(t, g.cut())

	require.Equal(t, []gap{{first: 4, last: 100, round: 1}, {first: 200, last: 300, round: 1}}, g.look(10))
	g.endLook(2, nil, math.MaxInt64)
	require.False(t, g.any())
}

func TestGapsBeyondTheLimitOfLooksStayUnread(t *testing.T) {
	t.Parallel()
	g := newGaps()
	for id := int64(10); id <= 50; id += 10 {
		g.miss(id, id)
	}
	g.setWriters(nil)
	require.Len(t, g.look(2), 2)
	g.endLook(2, nil, math.MaxInt64)
	require.True(t, g.cut())
	require.Equal(t, 3, g.len())
}

func TestGapsThatAreAlwaysLookedAtDoNotStopTheOthers(t *testing.T) {
	t.Parallel()
	g := newGaps()
	for id := range int64(10) {
		g.miss(2*id+1, 2*id+1)
	}
	g.lookAgain(listed("3/1"))
	require.Equal(t, 10, g.len())
	for id := range int64(10) {
		g.miss(100+2*id, 100+2*id)
	}
	g.setWriters(listed("3/1", "4/1=2"))
	for left := 20; g.cut() || left == 20; left -= 4 {
		require.Positive(t, left)
		g.endLook(len(g.look(4)), nil, math.MaxInt64)
	}
}

func TestTooManyGapsAreLeftToTheSweep(t *testing.T) {
	t.Parallel()
	g := newGaps()
	for i := range int64(maxGaps + 1) {
		g.miss(2*i+1, 2*i+1)
	}
	g.setWriters(listed("3/1=1", "4/1=2", "6/1"))
	require.Len(t, g.look(maxGaps+1), maxGaps+1, "each is looked at once, whatever their number")
	g.endLook(maxGaps+1, nil, math.MaxInt64)
	require.Zero(t, g.len(), "memory is bounded")
	require.True(t, g.any())
	require.ElementsMatch(t, []int64{1, 2}, g.watched())
	require.False(t, g.takeSweep(), "the writers of that time are still there")
	g.end([]int64{2})
	require.True(t, g.takeSweep(), "what it wrote is visible now, and must not come late")
	require.Empty(t, g.look(maxLooks))
	require.False(t, g.takeSweep(), "once, also beside a writer without an id")
	require.True(t, g.any())
	g.setWriters(listed("4/1=2", "6/1=4", "5/1=3"))
	require.True(t, g.takeSweep(), "another has gone")
	g.setWriters(listed("4/1=2", "5/1=3"))
	require.True(t, g.takeSweep(), "the other has gone")
	require.False(t, g.any())
}

func BenchmarkGapRound(b *testing.B) {
	g := newGaps()
	for i := range int64(60_000) { // one long transaction while others roll back
		g.miss(2*i+1, 2*i+1)
		g.lookAgain(listed("3/1=1", fmt.Sprintf("4/%d=%d", i, i+2)))
	}
	b.ResetTimer()
	for i := range b.N {
		g.lookAgain(listed("3/1=1", fmt.Sprintf("5/%d=%d", i, 100_000+i)))
	}
}

// pg_locks copies the fast-path locks before the others, so one that moves meanwhile is listed twice.
func TestAWriterThatIsListedTwiceStaysTheSame(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(5, 5)
	g.lookAgain(listed("3/1=700"))
	g.miss(9, 9)
	require.Len(t, g.lookAgain(listed("3/1", "3/1=700")), 1)
	require.Len(t, g.lookAgain(nil), 2, "its older gap is not forgotten")
	require.False(t, g.any())
}

func TestAWriterThatIsListedUnderBothNamesWhileItIsPrepared(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"3/1", "3/1=700"} {
		g := newGaps()
		g.miss(5, 5)
		g.lookAgain(listed(first))
		g.lookAgain(listed("3/1", "-1/700=700"))
		g.lookAgain(listed("-1/700=700"))
		require.True(t, g.any(), "it may still commit id 5")
		require.Len(t, g.lookAgain(nil), 1)
		require.False(t, g.any())
	}
}

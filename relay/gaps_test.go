package relay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGapClosesWhenItsWritersAreGone(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(5, 7)
	require.True(t, g.any())

	look := g.nextRound([]string{"3/1", "4/1"}, 10)
	require.Equal(t, []gap{{first: 5, last: 7, round: 1}}, look, "a new gap is looked at, for its writer may have ended before the list was read")
	g.endRound(len(look), nil, math.MaxInt64)
	require.True(t, g.any(), "two writers may still fill it")

	require.Empty(t, g.nextRound([]string{"3/1", "4/1", "9/1"}, 10), "nothing has changed for it")
	g.endRound(0, nil, math.MaxInt64)

	look = g.nextRound([]string{"4/1", "9/1"}, 10)
	require.Len(t, look, 1, "one of its writers has gone")
	g.endRound(1, []int64{6}, math.MaxInt64)
	require.Equal(t, 2, g.len(), "ids 5 and 7 are left")

	look = g.nextRound([]string{"9/1"}, 10)
	require.Len(t, look, 2)
	g.endRound(2, nil, math.MaxInt64)
	require.False(t, g.any(), "9/1 came later and cannot have drawn these ids")
}

func TestGapSurvivesPrepare(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(1, 1)
	g.nextRound([]string{"3/1"}, 10)
	g.endRound(1, nil, math.MaxInt64)

	g.nextRound([]string{"-1/700"}, 10) // PREPARE TRANSACTION gave the lock a new name
	g.endRound(1, nil, math.MaxInt64)
	require.True(t, g.any(), "the prepared transaction may still commit")

	require.Len(t, g.nextRound(nil, 10), 1)
	g.endRound(1, nil, math.MaxInt64)
	require.False(t, g.any())
}

func TestGapThatWasCutIsReadOn(t *testing.T) {
	t.Parallel()
	g := newGaps()
	g.miss(1, 100)
	g.miss(200, 300)
	require.Len(t, g.nextRound(nil, 10), 2)
	g.endRound(2, []int64{1, 2, 3}, 3)
	require.True(t, g.cut())

	look := g.nextRound(nil, 10)
	require.Equal(t, []gap{{first: 4, last: 100, round: 1}, {first: 200, last: 300, round: 1}}, look)
	g.endRound(2, nil, math.MaxInt64)
	require.False(t, g.any())
}

func TestGapsBeyondTheLimitOfLooksStayUnread(t *testing.T) {
	t.Parallel()
	g := newGaps()
	for id := int64(10); id <= 50; id += 10 {
		g.miss(id, id)
	}
	require.Len(t, g.nextRound(nil, 2), 2)
	g.endRound(2, nil, math.MaxInt64)
	require.True(t, g.cut())
	require.Equal(t, 3, g.len())
}

func TestTooManyGapsAreLeftToTheSweep(t *testing.T) {
	t.Parallel()
	g := newGaps()
	for i := range int64(maxGaps + 1) {
		g.miss(2*i+1, 2*i+1)
	}
	require.Len(t, g.nextRound([]string{"3/1"}, maxGaps+1), maxGaps+1, "each is looked at once, whatever their number")
	g.endRound(maxGaps+1, nil, math.MaxInt64)
	require.Empty(t, g.nextRound([]string{"3/1"}, 10))
	require.Zero(t, g.len(), "memory is bounded")
	require.True(t, g.any())
	require.False(t, g.takeOverflow(), "a writer of that time is still there")
	g.nextRound([]string{"4/1"}, 10)
	require.True(t, g.takeOverflow(), "now the sweep can decide")
	require.False(t, g.takeOverflow(), "once")
	require.False(t, g.any())
}

// simulation is a database of one sequence in which statements and steps of transactions interleave at random.
type simulation struct {
	next    int64
	serial  int
	open    []*writer
	visible map[int64]bool
	dead    map[int64]bool
}

type writer struct {
	name string
	ids  []int64
}

// step lets some transaction draw an id, commit, roll back, or prepare.
func (s *simulation) step() {
	switch dice := rand.IntN(10); {
	case dice < 3 || len(s.open) == 0:
		s.serial++
		s.open = append(s.open, &writer{name: fmt.Sprintf("3/%d", s.serial)})
	case dice < 7:
		w := s.open[rand.IntN(len(s.open))]
		if !isPrepared(w.name) {
			s.next++
			w.ids = append(w.ids, s.next)
		}
	case dice == 7:
		s.serial++
		s.open[rand.IntN(len(s.open))].name = fmt.Sprintf("-1/%d", s.serial)
	default:
		i := rand.IntN(len(s.open))
		if rand.IntN(8) == 0 {
			return // some live long
		}
		outcome := s.visible
		if rand.IntN(3) == 0 {
			outcome = s.dead
		}
		for _, id := range s.open[i].ids {
			outcome[id] = true
		}
		s.open = slices.Delete(s.open, i, i+1)
	}
}

func (s *simulation) holders() []string {
	var names []string
	for _, w := range s.open {
		if len(w.ids) > 0 {
			names = append(names, w.name)
		}
	}
	return names
}

func (s *simulation) rows(first, last int64) []int64 {
	var ids []int64
	for id := first; id <= min(last, s.next); id++ {
		if s.visible[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestGapsInASimulatedDatabase runs the reader's protocol with steps of transactions between any two of its statements.
func TestGapsInASimulatedDatabase(t *testing.T) {
	t.Parallel()
	for range 300 {
		s := &simulation{visible: map[int64]bool{}, dead: map[int64]bool{}}
		g, head, got := newGaps(), int64(0), map[int64]bool{}
		quiet := false
		steps := func() {
			for range rand.IntN(6) {
				if !quiet {
					s.step()
				}
			}
		}
		read := func() {
			for _, id := range s.rows(head+1, math.MaxInt64) {
				g.miss(head+1, id-1)
				head = id
				got[id] = true
			}
			steps()
			if !g.any() {
				return
			}
			look := slices.Clone(g.nextRound(s.holders(), 1+rand.IntN(20)))
			steps()
			var seen []int64
			for _, each := range look {
				seen = append(seen, s.rows(each.first, each.last)...)
			}
			for _, id := range seen {
				require.False(t, got[id], "id %d was handed out twice", id)
				got[id] = true
			}
			g.endRound(len(look), seen, math.MaxInt64)
		}
		for range 200 {
			steps()
			read()
		}
		for _, w := range s.open {
			for _, id := range w.ids {
				s.visible[id] = true
			}
		}
		s.open, quiet = nil, true
		for range 100 {
			read()
		}
		for id := range s.visible {
			require.True(t, got[id], "id %d was missed", id)
		}
		require.Zero(t, g.len(), "every gap is decided in the end")
	}
}

func BenchmarkGapRound(b *testing.B) {
	g := newGaps()
	for i := range int64(60_000) { // one long transaction while others roll back
		g.miss(2*i+1, 2*i+1)
		g.endRound(len(g.nextRound([]string{"3/1", fmt.Sprintf("4/%d", i)}, maxLooks)), nil, math.MaxInt64)
	}
	b.ResetTimer()
	for i := range b.N {
		g.endRound(len(g.nextRound([]string{"3/1", fmt.Sprintf("5/%d", i)}, maxLooks)), nil, math.MaxInt64)
	}
}

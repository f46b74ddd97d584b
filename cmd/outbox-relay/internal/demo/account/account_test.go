package account

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// event makes the event seq of a key. The same arguments make the same event; attempt tells apart the events that
// shared a place because the earlier one was rolled back.
func event(key string, seq int64, attempt byte) Event {
	e := Event{Key: key, Seq: seq}
	copy(e.ID[:], fmt.Sprintf("%s-%d-%d", key, seq, attempt))
	return e
}

// books is an account with short words for what the tests do to it.
type books struct{ *Account }

func (b books) commit(events ...Event) { b.Committed(epoch, events...) }
func (b books) receive(events ...Event) {
	for _, e := range events {
		b.Received(e, epoch.Add(2*time.Millisecond), epoch.Add(3*time.Millisecond))
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	a1, a2, a3 := event("a", 1, 0), event("a", 2, 0), event("a", 3, 0)
	b1 := event("b", 1, 0)
	rolled := event("a", 2, 9)

	tests := map[string]struct {
		play   func(b books)
		want   Snapshot // counts only
		faults []string
	}{
		"balanced": {
			play: func(b books) { b.commit(a1, a2, b1); b.RolledBack(rolled); b.receive(a1, b1, a2) },
			want: Snapshot{Committed: 3, Received: 3, Delivered: 3, RolledBack: 1},
		},
		"received before the commit was noted": {
			play: func(b books) { b.receive(a1); b.commit(a1) },
			want: Snapshot{Committed: 1, Received: 1, Delivered: 1},
		},
		"keys may overtake each other": {
			play: func(b books) { b.commit(a1, b1, a2); b.receive(a1, a2, b1) },
			want: Snapshot{Committed: 3, Received: 3, Delivered: 3},
		},
		"lost at the end of a key": {
			play:   func(b books) { b.commit(a1, a2); b.receive(a1) },
			want:   Snapshot{Committed: 2, Received: 1, Delivered: 1, Waiting: 1, Lost: 1},
			faults: []string{"1 event committed and never received (lost)"},
		},
		"lost in the middle of a key": {
			play:   func(b books) { b.commit(a1, a2, a3); b.receive(a1, a3) },
			want:   Snapshot{Committed: 3, Received: 2, Delivered: 2, Waiting: 1, Lost: 1},
			faults: []string{"1 event committed and never received (lost)"},
		},
		"a whole key lost": {
			play:   func(b books) { b.commit(a1, a2, b1); b.receive(b1) },
			want:   Snapshot{Committed: 3, Received: 1, Delivered: 1, Waiting: 2, Lost: 2},
			faults: []string{"2 events committed and never received (lost)"},
		},
		"duplicated": {
			play:   func(b books) { b.commit(a1, a2); b.receive(a1, a2, a1, a1) },
			want:   Snapshot{Committed: 2, Received: 4, Delivered: 2, Duplicated: 2},
			faults: []string{"2 events received more than once (duplicated)"},
		},
		"a loss is not hidden by a duplicate": {
			play: func(b books) { b.commit(a1, a2); b.receive(a1, a1) },
			want: Snapshot{Committed: 2, Received: 2, Delivered: 1, Waiting: 1, Lost: 1, Duplicated: 1},
			faults: []string{
				"1 event committed and never received (lost)", "1 event received more than once (duplicated)",
			},
		},
		"out of order": {
			play:   func(b books) { b.commit(a1, a2, a3); b.receive(a1, a3, a2) },
			want:   Snapshot{Committed: 3, Received: 3, Delivered: 3, OutOfOrder: 1},
			faults: []string{"1 event received after a later event of the same player (out of order)"},
		},
		"out of order, received before the commits were noted": {
			play:   func(b books) { b.receive(a2, a1); b.commit(a1, a2) },
			want:   Snapshot{Committed: 2, Received: 2, Delivered: 2, OutOfOrder: 1},
			faults: []string{"1 event received after a later event of the same player (out of order)"},
		},
		"leaked after the rollback": {
			play:   func(b books) { b.commit(a1, a2); b.RolledBack(rolled); b.receive(a1, rolled, a2) },
			want:   Snapshot{Committed: 2, Received: 3, Delivered: 2, RolledBack: 1, Leaked: 1},
			faults: []string{"1 event received although their transaction was rolled back (leaked)"},
		},
		"leaked before the rollback was noted": {
			play:   func(b books) { b.commit(a1, a2); b.receive(a1, rolled); b.RolledBack(rolled); b.receive(a2) },
			want:   Snapshot{Committed: 2, Received: 3, Delivered: 2, RolledBack: 1, Leaked: 1},
			faults: []string{"1 event received although their transaction was rolled back (leaked)"},
		},
		"leaked late, and not counted as out of order too": {
			play:   func(b books) { b.commit(a1, a2, a3); b.receive(a1, a2, a3, rolled); b.RolledBack(rolled) },
			want:   Snapshot{Committed: 3, Received: 4, Delivered: 3, RolledBack: 1, Leaked: 1},
			faults: []string{"1 event received although their transaction was rolled back (leaked)"},
		},
		"foreign": {
			play:   func(b books) { b.commit(a1); b.receive(a1, b1); b.Unreadable() },
			want:   Snapshot{Committed: 1, Received: 3, Delivered: 1, Foreign: 2},
			faults: []string{"2 events received that the game never wrote (foreign)"},
		},
		"in doubt": {
			play:   func(b books) { b.InDoubt(a1, a2); b.Committed(time.Time{}, a1); b.receive(a1) },
			want:   Snapshot{Committed: 1, Received: 1, Delivered: 1, InDoubt: 1},
			faults: []string{"1 event whose commit could not be resolved (in doubt)"},
		},
		"in doubt, then found committed, and lost": {
			play:   func(b books) { b.InDoubt(a1); b.Committed(time.Time{}, a1) },
			want:   Snapshot{Committed: 1, Waiting: 1, Lost: 1},
			faults: []string{"1 event committed and never received (lost)"},
		},
		"in doubt, then found rolled back, and leaked": {
			play:   func(b books) { b.InDoubt(a1); b.receive(a1); b.RolledBack(a1) },
			want:   Snapshot{Received: 1, RolledBack: 1, Leaked: 1},
			faults: []string{"1 event received although their transaction was rolled back (leaked)"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := books{New()}
			test.play(b)
			got := b.Close()
			assert.Equal(t, test.faults, got.Faults())
			assert.GreaterOrEqual(t, b.Snapshot().Lost, 0)
			assert.Equal(t, len(test.faults) == 0, got.Balanced())
			got.ToStored, got.ToReceived = Latency{}, Latency{}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestSnapshotShowsALossBeforeTheEnd(t *testing.T) {
	t.Parallel()
	b := books{New()}
	b.commit(event("a", 1, 0), event("a", 2, 0), event("a", 3, 0), event("a", 4, 0))
	b.receive(event("a", 1, 0))
	assert.Zero(t, b.Snapshot().Lost, "the others are on their way")
	b.receive(event("a", 4, 0))
	assert.Equal(t, 2, b.Snapshot().Lost, "2 and 3 were overtaken")
	b.receive(event("a", 2, 0))
	assert.Equal(t, 1, b.Snapshot().Lost)
	assert.Equal(t, 1, b.Snapshot().OutOfOrder)
}

func TestLatency(t *testing.T) {
	t.Parallel()
	b := books{New()}
	for seq := range int64(100) {
		e := event("a", seq+1, 0)
		b.commit(e)
		stored := epoch.Add(time.Duration(seq+1) * time.Millisecond)
		b.Received(e, stored, stored.Add(100*time.Millisecond))
	}
	got := b.Snapshot()
	assert.InEpsilon(t, 50*time.Millisecond, got.ToStored.P50, 0.02)
	assert.InEpsilon(t, 99*time.Millisecond, got.ToStored.P99, 0.02)
	assert.InEpsilon(t, 150*time.Millisecond, got.ToReceived.P50, 0.02)
	assert.InEpsilon(t, 199*time.Millisecond, got.ToReceived.P99, 0.02)
}

func TestLatencyLeavesOut(t *testing.T) {
	t.Parallel()
	hour := epoch.Add(time.Hour)

	t.Run("what was committed in an outage", func(t *testing.T) {
		t.Parallel()
		b := books{New()}
		b.Disturbed(true)
		b.commit(event("a", 1, 0))
		b.Disturbed(false)
		b.Received(event("a", 1, 0), hour, hour)
		assert.Zero(t, b.Snapshot().ToStored)
	})
	t.Run("a commit that was found out later", func(t *testing.T) {
		t.Parallel()
		b := books{New()}
		b.Committed(time.Time{}, event("a", 1, 0))
		b.Received(event("a", 1, 0), hour, hour)
		assert.Zero(t, b.Snapshot().ToStored)
	})
}

func TestMarkWaiting(t *testing.T) {
	t.Parallel()
	b := books{New()}
	b.commit(event("a", 1, 0), event("a", 2, 0))
	first := b.MarkWaiting()
	b.commit(event("a", 3, 0))
	second := b.MarkWaiting()
	b.commit(event("a", 4, 0))

	b.receive(event("a", 1, 0))
	assert.False(t, isClosed(first))
	b.receive(event("a", 3, 0))
	assert.False(t, isClosed(second), "the second event waits for it too")
	b.receive(event("a", 2, 0))
	assert.True(t, isClosed(first))
	assert.True(t, isClosed(second), "the fourth was committed after the mark")
	b.receive(event("a", 4, 0))
	assert.True(t, isClosed(b.MarkWaiting()), "nothing waits")
}

func TestHistogramIsAccurate(t *testing.T) {
	t.Parallel()
	for v := uint64(1); v < 1<<40; v = v*21/20 + 1 {
		end := upperEnd(bucketOf(v))
		require.GreaterOrEqual(t, end, v)
		require.LessOrEqual(t, float64(end-v), float64(v)/subBuckets, "value %d", v)
	}
	var h histogram
	assert.Zero(t, h.quantile(0.99), "nothing was measured")
	h.add(-time.Second)
	assert.Zero(t, h.quantile(0.99), "negative counts as 0")
}

func TestAccountIsSafeForManyGoroutines(t *testing.T) {
	t.Parallel()
	a := New()
	var wg sync.WaitGroup
	for key := range 8 {
		name := fmt.Sprint("player", key)
		wg.Go(func() {
			for seq := range int64(200) {
				a.Committed(time.Now(), event(name, seq+1, 0))
				if rand.IntN(10) == 0 {
					a.RolledBack(event(name, seq+2, 1))
				}
			}
		})
		wg.Go(func() {
			for seq := range int64(200) {
				a.Received(event(name, seq+1, 0), time.Now(), time.Now())
				a.Snapshot()
			}
		})
	}
	wg.Wait()
	got := a.Close()
	assert.True(t, got.Balanced(), got.Verdict())
	assert.Equal(t, 1600, got.Committed)
	assert.Contains(t, got.Verdict(), "all 1600 committed events were received exactly once")
}

func TestVerdictOfNothing(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "No event was committed, so nothing was shown.", New().Close().Verdict())
}

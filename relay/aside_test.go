package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errSubject = fmt.Errorf("%w: the stream does not capture it", ErrMisconfigured)

// refuseSubjects refuses events whose subject begins with one of the prefixes, and stores the
// others, but for those that stand behind a refused one of their key.
func refuseSubjects(cause error, prefixes ...string) func([]Event) ([]Outcome, error) {
	return func(events []Event) ([]Outcome, error) {
		outcomes := stored(len(events))
		held := map[string]bool{}
		for i := range events {
			refused := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(events[i].Subject, prefix) })
			switch key := events[i].Key; {
			case refused:
				outcomes[i] = Outcome{Err: cause}
				held[key] = key != "" && !errors.As(cause, new(*PermanentError))
			case held[key]:
				outcomes[i] = Outcome{}
			}
		}
		return outcomes, nil
	}
}

// session runs a dispatcher with what is in the table until it ends its session, or until enough.
func (b *bench) session(t *testing.T, enough func() bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.lanes, b.aside, b.again = newLanes(newParkedIDs(), b.cfg.newLaneBackoff), newAside(b.cfg.newLaneBackoff), nil
	b.settler.parked, b.burier.parked = b.lanes.parked, b.lanes.parked
	settlements, dead, in := make(chan settlement, 16), make(chan []deadLetter), make(chan batch, 1)
	b.out, b.settler.dead = settlements, dead
	var events []Event
	for _, event := range b.table {
		events = append(events, event)
	}
	slices.SortFunc(events, func(a, b Event) int { return int(a.ID - b.ID) })
	f := newFlight(events)
	in <- batch{page: page{events: events}, flight: f}
	ended, settled, buried := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(settlements)
		ended <- b.dispatcher.run(ctx, ctx, in)
	}()
	go func() {
		defer close(settled)
		_ = b.settler.run(context.WithoutCancel(ctx), settlements)
		close(dead)
	}()
	go func() {
		defer close(buried)
		b.burier.run(context.WithoutCancel(ctx), dead)
	}()
	var err error
	for over := false; !over; {
		select {
		case err = <-ended:
			over = true
		case <-time.After(time.Millisecond):
			if enough() {
				cancel()
			}
		}
	}
	<-settled
	<-buried
	require.True(t, f.landed())
	require.Zero(t, b.lanes.parked.len(), "what is set aside is known by its key alone")
	return err
}

func TestManyEventsOfABadSubjectWaitAsOne(t *testing.T) {
	t.Parallel()
	var events []Event
	for id := range int64(50_000) {
		events = append(events, Event{ID: id + 1, Subject: "chat.x", Key: fmt.Sprint(id)})
	}
	events = append(events, Event{ID: 60_000, Subject: "game.a", Key: "7"}, Event{ID: 60_001, Subject: "game.a", Key: "good"})
	b := newBench(t, events)
	for range 200 {
		b.publisher.answer = append(b.publisher.answer, refuseSubjects(errSubject, "chat"))
	}
	require.NoError(t, b.session(t, func() bool { return b.publisher.total() > 8 && b.rows() == 50_001 }))
	require.Equal(t, []int64{60_001}, b.settled, "the other key flows, and 60000 waits behind event 8")
	calls := b.publisher.calls[4:]
	for _, call := range calls {
		require.Len(t, call, 1, "one is tried for all")
	}
	aside, least := b.aside.count()
	require.Equal(t, 50_001, aside)
	require.EqualValues(t, 1, least)
	said := b.track.snapshot().Blocked
	require.Equal(t, &Blocked{Events: 50_001, ID: 1, Subject: "chat.x", Error: errSubject.Error()}, said)
	require.True(t, b.aside.has(99, "7"), "the sweep leaves them alone")
	require.False(t, b.aside.has(99, "good"))
}

// sessions runs sessions until the table is empty, each beginning when what was set aside in the
// one before may be taken.
func (b *bench) sessions(t *testing.T) (n int) {
	t.Helper()
	for n = 1; ; n++ {
		err := b.session(t, func() bool { return b.rows() == 0 })
		if b.rows() == 0 {
			return n
		}
		require.ErrorIs(t, err, errReleased)
		require.Less(t, n, 100)
	}
}

// TestAFixedSubjectGoesOutInOrder lets an operator add a subject while events wait.
func TestAFixedSubjectGoesOutInOrder(t *testing.T) {
	t.Parallel()
	var events []Event
	for id := range int64(60) {
		events = append(events, Event{ID: id + 1, Subject: []string{"chat.x", "game.a"}[id%2], Key: fmt.Sprint("k", id/2%3)})
	}
	refuse := refuseSubjects(errSubject, "chat")
	b := newBench(t, events, refuse, refuse, refuse)
	began := time.Now()
	require.LessOrEqual(t, b.sessions(t), 3)
	require.Less(t, time.Since(began), misconfiguredPause+time.Second)
	last := map[string]int64{}
	for _, id := range b.publisher.stored {
		key := events[id-1].Key
		require.Greater(t, id, last[key], "key %s", key)
		last[key] = id
	}
	require.Len(t, b.settled, 60)
}

// TestOneEventThatWaitedNeedsNoNewSession is the usual case.
func TestOneEventThatWaitedNeedsNoNewSession(t *testing.T) {
	t.Parallel()
	events := []Event{{ID: 1, Subject: "chat.x", Key: "a"}, {ID: 2, Subject: "shop.y"}, {ID: 3, Subject: "game.a", Key: "b"}}
	b := newBench(t, events, refuseSubjects(errSubject, "chat", "shop"))
	require.Equal(t, 1, b.sessions(t))
	require.ElementsMatch(t, []int64{1, 2, 3}, b.settled)
	require.Nil(t, b.track.snapshot().Blocked)
	require.Zero(t, b.track.snapshot().Delayed)
}

// TestRowsThatAPersonRemovedNoLongerWait also ends the wait of what stood behind them.
func TestRowsThatAPersonRemovedNoLongerWait(t *testing.T) {
	t.Parallel()
	events := []Event{{ID: 1, Subject: "chat.x", Key: "a"}, {ID: 2, Subject: "game.a", Key: "a"}}
	b := newBench(t, events)
	for range 20 {
		b.publisher.answer = append(b.publisher.answer, refuseSubjects(errSubject, "chat"))
	}
	removed := false
	err := b.session(t, func() bool {
		if !removed && b.publisher.tries(1) > 1 {
			b.mu.Lock()
			delete(b.table, 1)
			b.mu.Unlock()
			removed = true
		}
		return false
	})
	require.ErrorIs(t, err, errReleased)
	b.sessions(t)
	require.Equal(t, []int64{2}, b.settled)
}

// TestASampleCanBecomeADeadLetter frees what waits behind it.
func TestASampleCanBecomeADeadLetter(t *testing.T) {
	t.Parallel()
	events := []Event{{ID: 1, Subject: "chat.x", Key: "a"}, {ID: 2, Subject: "game.a", Key: "a"}}
	b := newBench(t, events, refuseSubjects(errSubject, "chat"),
		refuseSubjects(&PermanentError{Reason: ReasonTooLarge, Err: errors.New("big")}, "chat"))
	b.sessions(t)
	require.Equal(t, []int64{2}, b.settled)
	require.Len(t, b.dead, 1)
	require.Equal(t, ReasonTooLarge, b.dead[0].reason)
}

// TestFullLanesDelayNobodyElse lets more events fail than lanes hold, each of a key of its own, and
// then one key with many.
func TestFullLanesDelayNobodyElse(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(id int64) string{
		"many keys": func(id int64) string { return fmt.Sprint(id) },
		"one key":   func(int64) string { return "k" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events []Event
			for id := range int64(maxParked + 5000) {
				events = append(events, Event{ID: id + 1, Subject: "chat.x", Key: key(id)})
			}
			other := Event{ID: maxParked + 9000, Subject: "game.a", Key: "other"}
			b := newBench(t, append(events, other))
			full := &ThrottledError{RetryAfter: 50 * time.Millisecond, Err: errors.New("no room")}
			open := false
			b.publisher.fallback = func(events []Event) ([]Outcome, error) {
				if open = open || slices.Contains(b.publisher.stored, other.ID); open {
					return stored(len(events)), nil
				}
				return refuseSubjects(full, "chat")(events)
			}
			b.sessions(t)
			require.Equal(t, other.ID, b.publisher.stored[0])
			require.Len(t, b.settled, len(events)+1)
			if key(1) == key(2) {
				require.True(t, slices.IsSorted(b.publisher.stored[1:]))
			}
		})
	}
}

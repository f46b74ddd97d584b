package relay

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errSubject = fmt.Errorf("%w: the stream does not capture it", ErrMisconfigured)

// failLane makes the first event of a lane fail n times.
func failLane(l *lanes, event *Event, n int, cause error) (*lane, time.Duration) {
	each := l.of(event)
	if each == nil {
		each = l.open(event)
	}
	now := time.Now()
	for range n {
		l.fail(each, event, failures{last: now}, cause)
	}
	return each, each.due.Sub(now)
}

func TestABlockedEventIsTriedEveryFewSeconds(t *testing.T) {
	t.Parallel()
	l := newLanes(newParkedIDs(), DefaultConfig().newLaneBackoff)
	_, wait := failLane(l, &Event{ID: 1, Subject: "shop.paid"}, 30, errSubject)
	require.LessOrEqual(t, wait, misconfiguredPause)
	require.GreaterOrEqual(t, wait, misconfiguredPause/2)
	_, wait = failLane(l, &Event{ID: 2, Subject: "game.a"}, 30, errors.New("odd"))
	require.GreaterOrEqual(t, wait, DefaultConfig().BackoffMax/2, "what nobody has to change is tried ever more seldom")
	_, wait = failLane(l, &Event{ID: 3, Subject: "game.a"}, 30, &ThrottledError{RetryAfter: time.Minute})
	require.Equal(t, time.Minute, wait)

	l.blocked.events = 100_000
	_, wait = failLane(l, &Event{ID: 4, Subject: "shop.paid"}, 30, errSubject)
	require.GreaterOrEqual(t, wait, misconfiguredPause, "many cost no more than some")
}

func TestWhatStatusSaysOfBlockedEvents(t *testing.T) {
	t.Parallel()
	l := newLanes(newParkedIDs(), DefaultConfig().newLaneBackoff)
	require.Nil(t, l.blocked.now())
	first, second := &Event{ID: 1, Subject: "shop.paid", Key: "a"}, &Event{ID: 2, Subject: "shop.lost"}
	one, _ := failLane(l, first, 2, errSubject)
	l.queue(&Event{ID: 3, Subject: "game.a", Key: "a"})
	two, _ := failLane(l, second, 1, errSubject)
	failLane(l, &Event{ID: 4, Subject: "game.b"}, 1, errors.New("odd"))
	require.Equal(t, &Blocked{Events: 3, ID: 1, Subject: "shop.paid", Error: errSubject.Error()}, l.blocked.now())
	require.Equal(t, "3 events wait, for example event 1 with subject shop.paid: "+errSubject.Error(), l.blocked.now().String())

	l.leave(one, 1) // it is stored; nothing is known of the next one of its key
	require.Equal(t, "1 event waits for a change of the broker's settings", l.blocked.now().String())
	failLane(l, second, 1, errSubject)
	require.Equal(t, &Blocked{Events: 1, ID: 2, Subject: "shop.lost", Error: errSubject.Error()}, l.blocked.now())
	failLane(l, second, 1, errors.New("odd"))
	require.Nil(t, l.blocked.now(), "what fails for another reason now is not blocked")
	failLane(l, second, 1, errSubject)
	l.cut(two, 2)
	require.Nil(t, l.blocked.now())
}

// TestAFixedSubjectHurriesTheOthers lets an operator add subjects while many events wait.
func TestAFixedSubjectHurriesTheOthers(t *testing.T) {
	t.Parallel()
	refuse := func(events []Event) ([]Outcome, error) {
		outcomes := make([]Outcome, len(events))
		for i := range outcomes {
			outcomes[i].Err = errSubject
		}
		return outcomes, nil
	}
	var events []Event
	for id := range int64(50) {
		events = append(events, Event{ID: id + 1, Subject: "shop.paid"})
	}
	b := newBench(t, events, refuse)
	b.cfg.BackoffMin, b.cfg.BackoffMax = 2*time.Second, time.Hour
	b.lanes.newBackoff = b.cfg.newLaneBackoff
	began := time.Now()
	b.run(t, events)
	require.Len(t, b.settled, 50)
	require.Less(t, time.Since(began), misconfiguredPause+time.Second)
	require.Nil(t, b.track.snapshot().Blocked)
}

func TestBlockedEventsAreAWarning(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.track.enter(StateLeading)
	b.track.blocked(&Blocked{Events: 2, ID: 7, Subject: "shop.paid", Error: "not captured"})
	s := b.track.snapshot()
	require.True(t, s.Ready, "other events flow")
	require.Equal(t, []string{"2 events wait, for example event 7 with subject shop.paid: not captured"}, s.Warnings)
	b.track.enter(StateConnecting)
	b.track.enter(StateStandby)
	require.Empty(t, b.track.snapshot().Warnings, "another leader says it")
}

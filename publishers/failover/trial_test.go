package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// stalling is a primary whose stream can be looked at, and that answers no event in silent, or none at all.
type stalling struct {
	*rig
	state  relay.StreamState
	full   bool
	silent map[outbox.ID]bool
	sent   [][]relay.Event
	ids    byte
}

func newStalling(t *testing.T) *stalling {
	s := &stalling{
		rig: newRig(t), state: relay.StreamState{Stream: "events", Incarnation: "a", Last: 7},
		silent: map[outbox.ID]bool{},
	}
	s.first.publish = s.store
	s.primaryStreams.state = func() relay.StreamState { return s.state }
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s.mu.Lock()
	s.session = ctx
	s.mu.Unlock()
	return s
}

// store takes five seconds if an event gets no answer.
func (s *stalling) store(events []relay.Event) ([]relay.Outcome, error) {
	s.sent = append(s.sent, events)
	outcomes := make([]relay.Outcome, len(events))
	stored, silent := 0, 0
	for i := range events {
		if s.full || s.silent[events[i].EventID] {
			silent++
			continue
		}
		outcomes[i].Stored = true
		stored++
	}
	s.state.Last += uint64(stored)
	if silent == 0 {
		return outcomes, nil
	}
	s.clock = s.clock.Add(5 * time.Second)
	if stored > 0 {
		return outcomes, errSilent
	}
	return outcomes, &relay.StalledError{State: s.state, Err: errSilent}
}

// event returns a new one.
func (s *stalling) event(key string) relay.Event {
	s.ids++
	return relay.Event{
		ID: int64(s.ids), EventID: outbox.ID{s.ids}, Key: key, Subject: "game." + key, Payload: []byte{s.ids},
	}
}

// send publishes events as a session does that begins anew when it is told to.
func (s *stalling) send(events ...relay.Event) ([]relay.Outcome, error) {
	outcomes, err := s.active.Publish(s.t.Context(), events)
	if errors.Is(err, relay.ErrSwitched) {
		s.active = s.Use(s.t.Context())
		return s.active.Publish(s.t.Context(), events)
	}
	return outcomes, err
}

func TestAStreamThatStandsStillIsAnOutage(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	e := s.event("a")
	_, err := s.send(e)
	require.ErrorIs(t, err, errSilent)
	s.idle(100)
	s.requireOn("first") // one Publish alone may be a slow answer
	_, _ = s.send(e)
	s.idle(1)
	s.requireOn("second")
	require.Contains(t, s.Failover().Reason, errSilent.Error())
}

func TestASilenceCountsFromItsFirstPublish(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	e := s.event("a")
	_, _ = s.send(e)
	s.tick(t.Context())
	s.requireOn("first")
	_, _ = s.send(e)
	s.tick(t.Context()) // 10 s
	s.requireOn("second")
}

// A session that begins anew looks at the stream, which says nothing of whether it stores.
func TestANewSessionDoesNotEndAStall(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	e := s.event("a")
	_, _ = s.send(e)
	s.active.(relay.Ledger).Accept(s.state)
	_, _ = s.send(e)
	s.idle(1)
	s.requireOn("second")
}

// What others store in the stream shows that it stores.
func TestAStreamThatGrowsIsNoOutage(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	for range 20 {
		_, _ = s.send(s.event("a"))
		s.idle(1)
		s.state.Last++
	}
	s.requireOn("first")
}

// One event that gets no answer is no outage while others are stored, nor afterwards.
func TestOneEventWithoutAnAnswerIsNoOutage(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	bad := s.event("bad")
	s.silent[bad.EventID] = true
	for range 10 {
		_, _ = s.send(bad)
		_, err := s.send(s.event("good"))
		require.NoError(t, err)
		s.idle(1)
	}
	for range 10 {
		_, _ = s.send(bad)
		s.idle(20)
	}
	s.requireOn("first")
	require.Zero(t, s.transitions())
}

// A primary that stalled is used again once it has stored an event, however well it answers questions.
func TestAPrimaryThatStalledProvesThatItStores(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	events := []relay.Event{s.event("a"), s.event("a"), s.event("b"), s.event(""), s.event("")}
	for range 2 {
		_, _ = s.send(events...)
	}
	s.idle(1)
	s.requireOn("second")
	_, err := s.send(events...)
	require.NoError(t, err)
	s.idle(100)
	s.requireOn("second")
	require.Equal(t, 1, s.log.FilterMessage("primary still stores nothing").Len())
	for i, tried := range s.sent[2:] {
		keys := map[string]int64{}
		for _, e := range tried {
			require.True(t, e.Key == "" || keys[e.Key] == 0, "try %d has two of key %q", i, e.Key)
			keys[e.Key] = e.ID
		}
		require.Equal(t, map[string]int64{"a": 1, "b": 3, "": 5}, keys, "an event would overtake one before it")
	}

	s.full = false
	before := len(s.sent)
	s.idle(30)
	s.requireOn("second")
	s.idle(2)
	s.requireOn("first")
	require.Equal(t, 1, s.log.FilterMessage("primary stores events again").Len())
	require.Len(t, s.sent, before+1, "one try is enough")
}

func TestAPrimaryThatGrewMeanwhileStores(t *testing.T) {
	t.Parallel()
	for name, grow := range map[string]func(*stalling){
		"by others": func(s *stalling) { s.state.Last++ }, "anew": func(s *stalling) { s.state.Incarnation = "b" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStalling(t)
			s.full = true
			for range 2 {
				_, _ = s.send(s.event("a"))
			}
			s.idle(1)
			s.requireOn("second")
			grow(s)
			before := len(s.sent)
			s.idle(32)
			s.requireOn("first")
			require.Len(t, s.sent, before, "nothing is tried")
		})
	}
}

// An event that gets no answer in a quiet time is taken for an outage, once. The events after it
// show that the primary stores.
func TestAnEventThatNoAnswerComesToKeepsNothingOnTheFallback(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	bad, later := s.event("bad"), s.event("bad")
	s.silent[bad.EventID] = true
	for range 2 {
		_, _ = s.send(bad)
	}
	s.idle(1)
	s.requireOn("second")
	_, err := s.send(bad, later, s.event("good"))
	require.NoError(t, err)
	s.idle(40)
	s.requireOn("first")
	for _, tried := range s.sent {
		isLater := func(e relay.Event) bool { return e.EventID == later.EventID }
		require.False(t, slices.ContainsFunc(tried, isLater), "it would overtake")
	}
	for range 10 {
		_, _ = s.send(bad)
		s.idle(20)
	}
	s.requireOn("first")
	require.Equal(t, 2, s.transitions())
}

// Nothing is tried without the lease.
func TestATrialNeedsASession(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	for range 2 {
		_, _ = s.send(s.event("a"))
	}
	s.idle(1)
	s.requireOn("second")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.mu.Lock()
	s.session = ctx
	s.mu.Unlock()
	before := len(s.sent)
	s.full = false
	s.idle(100)
	s.requireOn("second")
	require.Len(t, s.sent, before)
}

// A server that says that its disk is full is out at once, and proves itself too.
func TestAFullDiskThatIsToldIsAnOutage(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.first.publish = func(events []relay.Event) ([]relay.Outcome, error) {
		full := fmt.Errorf("%w: disk full", relay.ErrUnavailable)
		return make([]relay.Outcome, len(events)), &relay.StalledError{State: s.state, Err: full}
	}
	_, _ = s.send(s.event("a"))
	s.idle(11)
	s.requireOn("second")
	s.idle(100)
	s.requireOn("second")
	s.first.publish = s.store
	s.idle(32)
	s.requireOn("first")
}

func TestATrialIsBounded(t *testing.T) {
	t.Parallel()
	trial := newTrial(relay.StreamState{})
	events := make([]relay.Event, 10_000)
	outcomes := make([]relay.Outcome, len(events))
	for i := range events {
		events[i] = relay.Event{
			EventID: outbox.ID{byte(i), byte(i >> 8)}, Key: fmt.Sprint(i), Payload: make([]byte, trialBytes+1),
			Subject: fmt.Sprint(i / 10),
		}
		outcomes[i].Stored = true
	}
	trial.addUnanswered(events, make([]relay.Outcome, len(events)))
	require.Len(t, trial.events, 1, "large ones are not gathered")
	trial = newTrial(relay.StreamState{})
	for i := range events {
		events[i].Payload = nil
	}
	trial.addUnanswered(events[:100], make([]relay.Outcome, 100))
	require.Len(t, trial.events, trialUnanswered)
	trial.addStored(events, outcomes)
	require.Len(t, trial.events, trialEvents)
	require.LessOrEqual(t, len(trial.keys), trialKeys)
}

// A refusal of one event shows that the primary answers, not that it stores.
func TestARefusedEventDoesNotEndAStall(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{
		"misconfigured": errWrong, "throttled": errBusy,
		"for good": &relay.PermanentError{Reason: relay.ReasonTooLarge, Err: errors.New("too large")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStalling(t)
			s.full = true
			e := s.event("a")
			for range 3 {
				s.first.publish = s.store
				_, _ = s.send(e)
				s.first.publish = func([]relay.Event) ([]relay.Outcome, error) { return []relay.Outcome{{Err: refusal}}, nil }
				_, _ = s.send(s.event("lost"))
			}
			s.first.publish = s.store
			s.idle(1)
			s.requireOn("second")
		})
	}
}

// Without rehoming the primary gets nothing that it was not given before the switch.
func TestATrialWithoutRehoming(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.machine.cfg.Rehome = false
	s.full = true
	events := []relay.Event{s.event("a"), s.event("b")}
	for range 2 {
		_, _ = s.send(events...)
	}
	s.idle(1)
	s.requireOn("second")
	_, err := s.send(events...)
	require.NoError(t, err)
	_, err = s.send(s.event("c"), s.event(""))
	require.NoError(t, err)
	before := len(s.sent)
	s.full = false
	s.idle(40)
	s.requireOn("first")
	require.Len(t, s.sent, before+1)
	require.Equal(t, events, s.sent[before])
}

// A trial that is refused says why.
func TestATrialThatIsRefusedSaysWhy(t *testing.T) {
	t.Parallel()
	s := newStalling(t)
	s.full = true
	for range 2 {
		_, _ = s.send(s.event("a"))
	}
	s.idle(1)
	s.requireOn("second")
	s.first.publish = func(events []relay.Event) ([]relay.Outcome, error) {
		outcomes := make([]relay.Outcome, len(events))
		outcomes[0].Err = errWrong
		return outcomes, nil
	}
	require.ErrorIs(t, s.prove(t.Context()), errWrong)
	s.idle(1)
	said := s.log.FilterMessage("primary still stores nothing").All()
	require.Len(t, said, 1)
	require.Equal(t, errWrong.Error(), said[0].ContextMap()["error"])
}

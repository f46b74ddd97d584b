package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/outbox"
)

// script is a publisher that answers each call as its test has written it, and stores everything when the script is over.
type script struct {
	mu     sync.Mutex
	answer []func(events []Event) ([]Outcome, error)
	// fallback answers when answer is used up; nil stores everything.
	fallback func(events []Event) ([]Outcome, error)
	calls    [][]int64 // the ids of each call
	stored   []int64
}

func (s *script) Name() string                { return "script" }
func (s *script) Close(context.Context) error { return nil }

func (s *script) Publish(_ context.Context, events []Event) ([]Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	s.calls = append(s.calls, ids)
	outcomes, err := stored(len(events)), error(nil)
	switch {
	case len(s.answer) > 0:
		outcomes, err = s.answer[0](events)
		s.answer = s.answer[1:]
	case s.fallback != nil:
		outcomes, err = s.fallback(events)
	}
	for i := range outcomes {
		if outcomes[i].Stored {
			s.stored = append(s.stored, ids[i])
		}
	}
	return outcomes, err
}

// total returns how many calls there were.
func (s *script) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// tries returns how often an event was published.
func (s *script) tries(id int64) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		n += count(slices.Contains(call, id))
	}
	return n
}

func stored(n int) []Outcome {
	outcomes := make([]Outcome, n)
	for i := range outcomes {
		outcomes[i].Stored = true
	}
	return outcomes
}

// bench runs a dispatcher and a settler over a table in memory.
type bench struct {
	*dispatcher
	publisher *script
	settler   *settler
	burier    *burier
	table     map[int64]Event
	mu        sync.Mutex
	settled   []int64
	news      []acknowledged // what was settled, a statement each
	dead      []deadLetter
	left      []int64     // the rows that stay in the table
	before    func(i int) // called before the i-th batch is given to the dispatcher
}

func newBench(t *testing.T, events []Event, answers ...func([]Event) ([]Outcome, error)) *bench {
	t.Helper()
	cfg := DefaultConfig()
	cfg.BackoffMin, cfg.BackoffMax, cfg.MaxAttempts = time.Millisecond, 2*time.Millisecond, 3
	b := &bench{publisher: &script{answer: answers}, table: make(map[int64]Event)}
	for _, event := range events {
		b.table[event.ID] = event
	}
	m := newMetrics(nil, "script")
	track := newTracker(zap.NewNop(), m, "test", "script")
	parked := newParkedIDs()
	out := make(chan settlement, 16)
	b.dispatcher = &dispatcher{
		cfg: cfg, publisher: b.publisher, track: track, metrics: m, clock: &clock{}, out: out, reread: b.reread,
		lanes: newLanes(parked, cfg.newLaneBackoff), aside: newAside(cfg.newLaneBackoff), held: newHeldKeys(nil),
		size: cfg.BatchEvents, backoff: cfg.newBackoff(time.Millisecond),
	}
	b.settler = &settler{track: track, parked: parked, backoff: cfg.newBackoff(time.Millisecond), write: b.settle}
	b.burier = &burier{track: track, parked: parked, move: b.move, behind: func() bool { return false }}
	return b
}

func (b *bench) reread(_ context.Context, ids []int64) (page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var p page
	for _, id := range ids {
		if event, ok := b.table[id]; ok {
			p.events = append(p.events, event)
		}
	}
	return p, nil
}

func (b *bench) settle(_ context.Context, news acknowledged) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.news = append(b.news, news)
	for _, each := range news.events {
		delete(b.table, each.id)
		b.settled = append(b.settled, each.id)
	}
	return nil
}

func (b *bench) move(_ context.Context, dead []deadLetter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, each := range dead {
		delete(b.table, each.id)
	}
	b.dead = append(b.dead, dead...)
	return nil
}

func (b *bench) rows() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.table)
}

// run dispatches batches until the table is empty.
func (b *bench) run(t *testing.T, batches ...[]Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	in := make(chan batch)
	settlements, dead := make(chan settlement, 16), make(chan []deadLetter)
	b.out, b.settler.dead = settlements, dead
	var wait sync.WaitGroup
	wait.Go(func() {
		defer close(settlements)
		assert.NoError(t, b.dispatcher.run(ctx, ctx, in))
	})
	wait.Go(func() {
		defer close(dead)
		assert.NoError(t, b.settler.run(context.WithoutCancel(ctx), settlements))
	})
	wait.Go(func() { b.burier.run(context.WithoutCancel(ctx), dead) })
	var flights []*flight
	for i, events := range batches {
		if b.before != nil {
			b.before(i)
		}
		flights = append(flights, newFlight(events))
		in <- batch{page: page{events: slices.Clone(events)}, flight: flights[len(flights)-1]}
	}
	require.Eventually(t, func() bool { return b.rows() == len(b.left) }, 10*time.Second, time.Millisecond)
	for _, id := range b.left {
		require.Contains(t, b.table, id)
	}
	cancel()
	wait.Wait()
	for _, f := range flights {
		require.True(t, f.landed(), "a batch whose events are all settled has landed")
	}
	require.Zero(t, b.lanes.parked.len(), "nothing stays parked")
	require.True(t, b.lanes.empty())
	require.Zero(t, b.track.snapshot().Delayed, "nothing waits for a retry")
	require.Empty(t, b.track.snapshot().DelayedError)
}

func event(id int64, key string) Event {
	return Event{ID: id, EventID: outbox.ID{byte(id)}, Subject: "game.test", Key: key}
}

func TestAPermanentRefusalDelaysNobody(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a"), event(3, "a")}
	cause := errors.New("too big")
	b := newBench(t, events, func(events []Event) ([]Outcome, error) {
		outcomes := stored(len(events))
		outcomes[1] = Outcome{Err: &PermanentError{Reason: ReasonTooLarge, Err: cause}}
		return outcomes, nil
	})
	b.run(t, events)
	require.Equal(t, []int64{1, 3}, b.settled)
	require.Len(t, b.dead, 1)
	require.Equal(t, int64(2), b.dead[0].id)
	require.Equal(t, ReasonTooLarge, b.dead[0].reason)
	require.Equal(t, "too big", b.dead[0].text)
	require.Equal(t, 1, b.dead[0].attempts)
	require.False(t, b.dead[0].firstFailed.IsZero())
	require.Len(t, b.publisher.calls, 1)
}

func TestAFailedEventDelaysItsKeyOnly(t *testing.T) {
	t.Parallel()
	first := []Event{event(1, "a"), event(2, "b"), event(3, "a"), event(4, "")}
	second := []Event{event(5, "a"), event(6, "b")}
	b := newBench(t, append(slices.Clone(first), second...), func([]Event) ([]Outcome, error) {
		return []Outcome{{Err: errors.New("odd")}, {Stored: true}, {Err: errors.New("behind 1")}, {Stored: true}}, nil
	})
	b.run(t, first, second)
	at := func(id int64) int { return slices.Index(b.publisher.stored, id) }
	require.Less(t, at(2), at(1), "key b did not wait")
	require.Less(t, at(1), at(3))
	require.Less(t, at(3), at(5))
	require.Len(t, b.settled, 6)
	require.Empty(t, b.dead)
}

func TestAnOutageSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "b")}
	var answers []func([]Event) ([]Outcome, error)
	for i := range 20 { // many times MaxAttempts
		err := []error{ErrUnavailable, &ThrottledError{Err: errors.New("full")}}[i%2]
		answers = append(answers, func(events []Event) ([]Outcome, error) { return make([]Outcome, len(events)), err })
	}
	b := newBench(t, events, answers...)
	b.run(t, events)
	require.Equal(t, []int64{1, 2}, b.settled)
	require.Empty(t, b.dead)
}

func TestAnAmbiguousFailureIsSentAgainWithoutWhatWasStored(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a"), event(3, "a"), event(4, "a")}
	b := newBench(t, events, func(events []Event) ([]Outcome, error) {
		outcomes := make([]Outcome, len(events))
		outcomes[0].Stored = true
		return outcomes, errors.New("timeout")
	})
	b.run(t, events)
	require.Equal(t, [][]int64{{1, 2, 3, 4}, {2, 3}, {4}}, b.publisher.calls, "half as many a call, in order")
}

// TestAnEventThatBreaksItsCallIsFoundOut is about an event of which the publisher only says that the whole call failed.
func TestAnEventThatBreaksItsCallIsFoundOut(t *testing.T) {
	t.Parallel()
	var events []Event
	for id := range int64(9) {
		events = append(events, event(id+1, ""))
	}
	b := newBench(t, events)
	culprit := func(events []Event) ([]Outcome, error) {
		outcomes := make([]Outcome, len(events))
		for i := range events {
			if events[i].ID == 5 {
				return outcomes, errors.New("connection closed")
			}
			outcomes[i].Stored = true
		}
		return outcomes, nil
	}
	for range 200 {
		b.publisher.answer = append(b.publisher.answer, culprit)
	}
	later := []Event{event(11, ""), event(12, "")}
	for _, e := range later {
		b.table[e.ID] = e
	}
	b.cfg.MaxAttempts = 1
	b.run(t, events, later[:1], later[1:])
	require.Len(t, b.settled, 10)
	require.Len(t, b.dead, 1)
	require.Equal(t, int64(5), b.dead[0].id)
	require.Equal(t, ReasonAttempts, b.dead[0].reason)
}

func TestAttemptsEndInADeadLetter(t *testing.T) {
	t.Parallel()
	first := event(1, "a")
	b := newBench(t, []Event{first})
	odd := func(events []Event) ([]Outcome, error) {
		outcomes := stored(len(events))
		for i := range events {
			if events[i].ID == 1 {
				outcomes[i] = Outcome{Err: errors.New("odd")}
			}
		}
		return outcomes, nil
	}
	for range 500 {
		b.publisher.answer = append(b.publisher.answer, odd)
	}
	batches := [][]Event{{first}}
	for id := range int64(3) { // others prove that the broker works
		other := event(id+10, "")
		b.table[other.ID] = other
		batches = append(batches, []Event{other})
	}
	b.before = func(i int) {
		require.Eventually(t, func() bool { return b.publisher.tries(1) >= i }, 10*time.Second, time.Millisecond)
	}
	b.run(t, batches...)
	require.Len(t, b.dead, 1)
	require.Equal(t, 3, b.dead[0].attempts, "MaxAttempts")
	require.Equal(t, "odd", b.dead[0].text)
}

// TestNoAttemptIsSpentWhileNothingIsStored is the other half: when everything fails, nothing becomes a dead letter.
func TestNoAttemptIsSpentWhileNothingIsStored(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a")}
	b := newBench(t, events)
	for range 50 {
		b.publisher.answer = append(b.publisher.answer, func([]Event) ([]Outcome, error) {
			return []Outcome{{Err: errors.New("odd")}}, nil
		})
	}
	b.run(t, events)
	require.Equal(t, []int64{1}, b.settled)
	require.Empty(t, b.dead)
}

func TestAForgetfulPublisherLosesNothing(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "b")}
	b := newBench(t, events,
		func([]Event) ([]Outcome, error) { return nil, nil },
		func([]Event) ([]Outcome, error) { return []Outcome{{Stored: true}}, nil }, // one too few
		func(events []Event) ([]Outcome, error) { return make([]Outcome, len(events)), nil },
	)
	b.publisher.stored = nil
	b.run(t, events)
	require.ElementsMatch(t, []int64{1, 2}, b.settled)
}

func TestEventsThatSomebodyRemovedLeaveTheirLane(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a")}
	b := newBench(t, events)
	b.publisher.answer = append(b.publisher.answer, func([]Event) ([]Outcome, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.table, 1)
		return []Outcome{{Err: errors.New("odd")}, {}}, nil
	})
	b.run(t, events)
	require.Equal(t, []int64{2}, b.settled)
}

// TestADeadLetterCanHoldItsKey lets the later events of the key wait in the table, in the batch of the dead letter and in later ones.
func TestADeadLetterCanHoldItsKey(t *testing.T) {
	t.Parallel()
	first := []Event{event(1, "a"), event(2, "b"), event(3, "a"), event(4, "")}
	second := []Event{event(5, "a"), event(6, "b")}
	b := newBench(t, append(slices.Clone(first), second...), func([]Event) ([]Outcome, error) {
		// A publisher that was told to hold keys says nothing of the third event, which it did not send.
		return []Outcome{{Err: &PermanentError{Reason: ReasonRefused, Err: errors.New("bad")}}, {Stored: true}, {}, {Stored: true}}, nil
	})
	b.cfg.AfterDeadLetter = HoldKey
	b.left = []int64{3, 5}
	b.run(t, first, second)
	require.Equal(t, []int64{2, 4, 6}, b.settled)
	require.Len(t, b.dead, 1)
	keys, events := b.held.count()
	require.Equal(t, 1, keys)
	require.Equal(t, 2, events)
	require.Equal(t, [][]int64{{1, 2, 3, 4}, {6}}, b.publisher.calls, "nothing is sent again, and nothing of the key")
	require.Equal(t, BrokerOK, b.track.snapshot().Broker.State, "a held key is no trouble of the broker")
}

// TestALaneThatEndsInADeadLetterHoldsItsKey is the same for an event whose attempts are spent.
func TestALaneThatEndsInADeadLetterHoldsItsKey(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a"), event(3, "")}
	b := newBench(t, events)
	b.cfg.AfterDeadLetter, b.cfg.MaxAttempts = HoldKey, 2
	for range 500 {
		b.publisher.answer = append(b.publisher.answer, func(events []Event) ([]Outcome, error) {
			outcomes := stored(len(events))
			for i := range events {
				if events[i].Key == "a" {
					outcomes[i] = Outcome{}
				}
				if events[i].ID == 1 {
					outcomes[i] = Outcome{Err: errors.New("odd")}
				}
			}
			return outcomes, nil
		})
	}
	b.left = []int64{2}
	other := event(4, "") // proves that the broker works between the attempts
	b.table[other.ID] = other
	b.before = func(i int) {
		require.Eventually(t, func() bool { return b.publisher.tries(1) >= i }, 10*time.Second, time.Millisecond)
	}
	b.run(t, events, []Event{other})
	require.Len(t, b.dead, 1)
	require.Equal(t, ReasonAttempts, b.dead[0].reason)
	require.ElementsMatch(t, []int64{3, 4}, b.settled)
	require.True(t, b.held.has("a"))
}

// TestALostStreamEndsTheSession publishes nothing more, for everything has to be read again; so does a change of the broker. Neither
// spends an attempt of an event that was alone in its call.
func TestALostStreamEndsTheSession(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{ErrRewound, ErrSwitched} {
		for _, events := range [][]Event{{event(1, "a"), event(2, "a")}, {event(1, "a")}} {
			b := newBench(t, events, func(events []Event) ([]Outcome, error) {
				return make([]Outcome, len(events)), fmt.Errorf("no: %w", cause)
			})
			b.size = len(events)
			in := make(chan batch, 1)
			in <- batch{page: page{events: events}, flight: newFlight(events)}
			err := b.dispatcher.run(t.Context(), t.Context(), in)
			require.ErrorIs(t, err, errAgain)
			require.ErrorIs(t, err, cause)
			require.Len(t, b.publisher.calls, 1)
			require.True(t, b.lanes.empty())
		}
	}
}

// TestALapsedLeaseDelaysThePublishing lets a lease lapse before a Publish, and while one is under way. Neither is the fault of the broker or
// of the event, and neither ends the session.
func TestALapsedLeaseDelaysThePublishing(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a")}
	var f fence
	var inTime []bool
	renewLater := func() { time.AfterFunc(5*time.Millisecond, func() { f.move(sinceBoot(), time.Minute) }) }
	publishing := f.guard(t.Context())
	b := newBench(t, events, func(events []Event) ([]Outcome, error) {
		inTime = append(inTime, MaySend(publishing))
		f.shut()
		renewLater()
		return make([]Outcome, len(events)), errors.New("timeout")
	}, func(events []Event) ([]Outcome, error) {
		inTime = append(inTime, MaySend(publishing))
		return stored(len(events)), nil
	})
	b.size, b.cfg.MaxAttempts = 1, 1
	settlements := make(chan settlement, 1)
	b.out = settlements
	in := make(chan batch, 1)
	in <- batch{page: page{events: events}, flight: newFlight(events)}
	close(in)
	renewLater()
	require.NoError(t, b.dispatcher.run(t.Context(), publishing, in))
	require.Equal(t, []bool{true, true}, inTime, "no Publish begins behind the fence")
	require.Len(t, (<-settlements).stored, 1)
	require.Zero(t, b.track.snapshot().Retried)
	require.True(t, b.lanes.empty())
}

// TestDoubtEndsTheSessionBeforeTheBrokerForgets is about an outage that is longer than the stream remembers what it stored: sent
// again, events would be stored twice.
func TestDoubtEndsTheSessionBeforeTheBrokerForgets(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*bench, []Event) ([]Outcome, error){
		"the broker is away": func(_ *bench, events []Event) ([]Outcome, error) { return make([]Outcome, len(events)), ErrUnavailable },
		"an event alone is in doubt": func(b *bench, events []Event) ([]Outcome, error) {
			b.size = 1
			return make([]Outcome, len(events)), errors.New("timeout")
		},
		"a Publish took too long itself": func(b *bench, events []Event) ([]Outcome, error) {
			if len(b.publisher.calls) > 1 {
				return stored(len(events)), nil
			}
			pause(context.Background(), b.trust)
			return make([]Outcome, len(events)), ErrUnavailable
		},
		"the broker is away while an event is delayed": func(b *bench, events []Event) ([]Outcome, error) {
			if len(b.publisher.calls) > 1 {
				return make([]Outcome, len(events)), ErrUnavailable
			}
			return []Outcome{{Err: errors.New("odd")}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := []Event{event(1, "a")}
			b := newBench(t, events)
			for range 10_000 {
				b.publisher.answer = append(b.publisher.answer, func(events []Event) ([]Outcome, error) { return answer(b, events) })
			}
			b.trust = 20 * time.Millisecond
			in := make(chan batch, 1)
			in <- batch{page: page{events: events}, flight: newFlight(events)}
			require.ErrorIs(t, b.dispatcher.run(t.Context(), t.Context(), in), errAgain)
			require.Less(t, b.publisher.tries(1), 1000)
		})
	}
}

// TestACallThatEndedEarlyIsGoneOnWith is about a publisher that bounds its calls. It is no failure:
// the events that are left are sent at once, and neither the size of the calls nor any attempt
// suffers.
func TestACallThatEndedEarlyIsGoneOnWith(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a"), event(3, "a"), event(4, "a")}
	b := newBench(t, events)
	first := func(events []Event) ([]Outcome, error) {
		outcomes := make([]Outcome, len(events))
		outcomes[0].Stored = true
		return outcomes, fmt.Errorf("1 of %d: %w", len(events), ErrNotSent)
	}
	b.publisher.answer = append(b.publisher.answer, first, first, first)
	b.run(t, events)
	require.Equal(t, [][]int64{{1, 2, 3, 4}, {2, 3, 4}, {3, 4}, {4}}, b.publisher.calls)
	require.Zero(t, b.track.snapshot().Retried)
	require.Equal(t, BrokerOK, b.track.snapshot().Broker.State)
}

// The same in a lane, where nothing of an event that was not sent is in doubt.
func TestALaneGoesOnWithWhatWasNotSent(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a"), event(3, "a")}
	var b *bench
	b = newBench(t, events, func([]Event) ([]Outcome, error) {
		return []Outcome{{Err: errors.New("odd")}, {}, {}}, nil
	}, func(events []Event) ([]Outcome, error) {
		outcomes := make([]Outcome, len(events))
		outcomes[0].Stored = true
		return outcomes, ErrNotSent
	}, func(events []Event) ([]Outcome, error) {
		for _, waiting := range b.lanes.byName {
			assert.Zero(t, waiting.failed.doubt)
		}
		return stored(len(events)), nil
	})
	b.run(t, events)
	require.Equal(t, [][]int64{{1, 2, 3}, {1, 2, 3}, {2, 3}}, b.publisher.calls)
}

// TestAnEventThatMayBeStoredIsInDoubt is about a publisher that knows which event got no answer, and why.
func TestAnEventThatMayBeStoredIsInDoubt(t *testing.T) {
	t.Parallel()
	events := []Event{event(1, "a"), event(2, "a"), event(3, "b")}
	var b *bench
	var doubts []time.Duration
	ambiguous := func(events []Event) ([]Outcome, error) {
		for _, waiting := range b.lanes.byName {
			doubts = append(doubts, waiting.failed.doubt)
		}
		outcomes := stored(len(events))
		outcomes[0] = Outcome{Err: &AmbiguousError{fmt.Errorf("%w: taken away", ErrMisconfigured)}}
		outcomes[1] = Outcome{}
		return outcomes, nil
	}
	b = newBench(t, events)
	for range b.cfg.MaxAttempts + 2 {
		b.publisher.answer = append(b.publisher.answer, ambiguous)
	}
	b.run(t, events)
	require.Equal(t, []int64{3, 1, 2}, b.settled, "key a waits, in order")
	require.Empty(t, b.dead, "a setting of the broker spends no attempt")
	require.NotEmpty(t, doubts)
	for _, doubt := range doubts {
		require.Equal(t, doubts[0], doubt, "it is in doubt since its first Publish")
		require.Positive(t, doubt)
	}
}

package failover

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// broker is a publisher that answers as its test says: publishes with send, questions with look.
type broker struct {
	name       string
	send, look error
	stored     int // how many events of a publish it stores although it answers send
	published  int // calls
	held       bool
	closed     bool
	publish    func([]relay.Event) ([]relay.Outcome, error) // instead of send, unless it is nil
}

func (b *broker) Name() string                  { return b.name }
func (b *broker) Connect(context.Context) error { return b.look }
func (b *broker) HoldKeys()                     { b.held = true }
func (b *broker) Close(context.Context) error   { b.closed = true; return nil }

func (b *broker) Publish(_ context.Context, events []relay.Event) ([]relay.Outcome, error) {
	b.published++
	if b.publish != nil {
		return b.publish(events)
	}
	outcomes := make([]relay.Outcome, len(events))
	for i := range outcomes {
		outcomes[i].Stored = b.send == nil || i < b.stored
	}
	return outcomes, b.send
}

// ledger is a broker that can be read back.
type ledger struct {
	*broker
	inspect error
	state   func() relay.StreamState // nil for the zero state
}

func (l *ledger) Inspect(context.Context) (relay.StreamState, error) {
	if l.state == nil {
		return relay.StreamState{}, l.inspect
	}
	return l.state(), l.inspect
}
func (l *ledger) Accept(relay.StreamState) {}
func (l *ledger) Scan(context.Context, relay.Scan, func(relay.StoredEvent) error) error {
	return l.inspect
}

var (
	errOut       = fmt.Errorf("%w: connection refused", relay.ErrUnavailable)
	errWrong     = fmt.Errorf("%w: no such stream", relay.ErrMisconfigured)
	errSilent    = errors.New("no answer in time")
	errBusy      = &relay.ThrottledError{Err: errors.New("full")}
	testSettings = Config{After: 10 * time.Second, FailbackAfter: 30 * time.Second, Rehome: true}
)

// rig is a publisher over two scripted brokers, with a clock that the test moves.
type rig struct {
	*Publisher
	t              *testing.T
	first, second  *broker
	active         relay.Publisher // of the session
	clock          time.Time
	log            *observer.ObservedLogs
	primaryStreams *ledger
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := newIdleRig(t)
	r.active = r.Use(t.Context())
	return r
}

// newIdleRig returns one that nobody has used yet.
func newIdleRig(t *testing.T) *rig {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	r := &rig{t: t, first: &broker{name: "first"}, second: &broker{name: "second"}, clock: time.Unix(0, 0), log: logs}
	r.primaryStreams = &ledger{broker: r.first}
	p, err := New(testSettings, r.primaryStreams, r.second, zap.New(core))
	require.NoError(t, err)
	p.now = func() time.Time { return r.clock }
	p.start.Do(func() {}) // the test ticks
	r.Publisher = p
	t.Cleanup(func() { require.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
	return r
}

// outage sets how the primary answers everything.
func (r *rig) outage(err error) { r.first.send, r.first.look, r.primaryStreams.inspect = err, err, err }

// publish publishes two events, as a session does that begins anew when it is told to.
func (r *rig) publish() error {
	r.t.Helper()
	_, err := r.active.Publish(r.t.Context(), []relay.Event{{ID: 1, EventID: outbox.ID{1}}, {ID: 2, EventID: outbox.ID{2}}})
	if errors.Is(err, relay.ErrSwitched) {
		r.active = r.Use(r.t.Context())
	}
	return err
}

// pass lets time go by, with a publish and a tick each second.
func (r *rig) pass(seconds int) {
	r.t.Helper()
	for range seconds {
		r.clock = r.clock.Add(time.Second)
		_ = r.publish()
		r.tick(r.t.Context())
	}
}

// idle lets time go by without a publish.
func (r *rig) idle(seconds int) {
	r.t.Helper()
	for range seconds {
		r.clock = r.clock.Add(time.Second)
		r.tick(r.t.Context())
	}
}

func (r *rig) requireOn(name string) {
	r.t.Helper()
	require.Equal(r.t, name, r.decided().Name(), r.Failover().Reason)
}

func (r *rig) transitions() int {
	return r.log.FilterMessage("events go to the fallback from now on").Len() + r.log.FilterMessage("events go to the primary again").Len()
}

func TestAnOutageSwitchesAfterItsTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.pass(5)
	r.outage(errOut)
	r.pass(10)
	r.requireOn("first")
	r.pass(1)
	r.requireOn("second")
	require.Contains(t, r.Failover().Reason, "first has been unavailable for 10s")
	require.Contains(t, r.Failover().Reason, "connection refused")

	before := r.first.published
	require.ErrorIs(t, r.publish(), relay.ErrSwitched, "the session has to end first")
	require.Equal(t, before, r.first.published, "nothing is sent")
	require.Zero(t, r.second.published, "nothing is sent")
	require.NoError(t, r.publish())
	require.Equal(t, 1, r.second.published)
	require.Equal(t, 1, r.transitions())
}

func TestAnOutageIsNoticedWhileNothingIsPublished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.idle(11)
	r.requireOn("second")
	require.ErrorIs(t, r.Wait(t.Context()), relay.ErrSwitched)
	r.active = r.Use(r.t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Wait(ctx), context.Canceled)
}

func TestWhatIsNoOutage(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"misconfigured": errWrong, "throttling": errBusy, "silent": errSilent, "healthy": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.outage(err)
			r.pass(100)
			r.requireOn("first")
			require.Zero(t, r.transitions())
		})
	}
}

func TestASuccessRestartsTheClock(t *testing.T) {
	t.Parallel()
	for name, success := range map[string]func(*rig){
		"of a publish":     func(r *rig) { r.outage(nil) },
		"of a part":        func(r *rig) { r.first.stored = 1 },
		"a refusal":        func(r *rig) { r.outage(errBusy) },
		"of the other way": func(r *rig) { r.outage(errWrong) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for range 20 {
				r.outage(errOut)
				r.first.stored = 0
				r.pass(8)
				success(r)
				r.pass(1)
			}
			r.requireOn("first")
			r.outage(errOut)
			r.first.stored = 0
			r.pass(11)
			r.requireOn("second")
		})
	}
}

// TestOnlyAPublishEndsWhatAPublishBegan lets a server answer questions that stores nothing.
func TestOnlyAPublishEndsWhatAPublishBegan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.first.send = errOut
	r.pass(11)
	r.requireOn("second")
}

func TestANewSessionEndsWhatAPublishBegan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.first.send = errOut
	r.pass(5)
	r.active.(relay.Ledger).Accept(relay.StreamState{})
	r.idle(100)
	r.requireOn("first")
}

// TestSilenceDoesNotEndAnOutage mixes calls that took too long with those that found nobody.
func TestSilenceDoesNotEndAnOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.pass(1)
	r.outage(errSilent)
	r.pass(5)
	r.outage(errOut)
	r.pass(5)
	r.requireOn("second")
}

func TestAHealthyPrimaryIsGoneBackTo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.pass(12)
	r.requireOn("second")
	r.pass(100)
	r.outage(nil)
	r.pass(30)
	r.requireOn("second")
	r.pass(1)
	r.requireOn("first")
	require.Contains(t, r.Failover().Reason, "first has been healthy for 30s")
	require.ErrorIs(t, r.publish(), relay.ErrSwitched)
	require.NoError(t, r.publish())
	require.Equal(t, 2, r.transitions())
}

func TestAPrimaryThatComesAndGoesIsNotGoneBackTo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.pass(12)
	for _, trouble := range []error{errOut, errWrong, errSilent, errBusy} {
		r.outage(nil)
		r.pass(29)
		r.outage(trouble)
		r.pass(1)
	}
	r.outage(nil)
	r.primaryStreams.inspect = errOut // it connects, but its stream does not answer
	r.pass(100)
	r.requireOn("second")
	require.Equal(t, 1, r.transitions())
}

func TestAFallbackThatIsOutIsLeftAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.pass(12)
	r.second.send, r.second.look = errOut, errOut
	r.pass(100)
	r.requireOn("second")
	r.outage(nil)
	r.pass(1)
	r.requireOn("first")
	require.Contains(t, r.Failover().Reason, "first is healthy, and second is not")
}

func TestAFallbackThatIsOutIsNotSwitchedTo(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]error{"out": errOut, "misconfigured": errWrong} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.outage(errOut)
			r.second.look = trouble
			r.pass(100)
			r.requireOn("first")
			r.second.look = nil
			r.pass(1)
			r.requireOn("second")
		})
	}
}

func TestThePrimaryIsPreferredWhenBothComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.second.look = errOut
	r.pass(100)
	r.outage(nil)
	r.second.look = nil
	r.pass(100)
	r.requireOn("first")
	require.Zero(t, r.transitions())
}

// TestStartOnTheFallback begins without the primary, by a first connection or by the first session.
func TestStartOnTheFallback(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*rig){
		"connect": func(r *rig) { require.ErrorIs(t, r.Connect(t.Context()), relay.ErrUnavailable) },
		"session": func(r *rig) { require.Equal(t, "second", r.Use(t.Context()).Name()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newIdleRig(t)
			r.outage(errOut)
			begin(r)
			r.requireOn("second")
			require.Contains(t, r.Failover().Reason, "first has been unavailable for 0s, since the first connection: ")
			require.Equal(t, "second", r.Use(t.Context()).Name())
			require.Equal(t, 1, r.log.FilterMessage("failed to connect NATS, trying Redis Stream").Len())
			require.Equal(t, "first", r.Name(), "the name stays that of the primary")
		})
	}
}

// TestStartWithAPrimaryThatMustBeChanged does not take it for missing.
func TestStartWithAPrimaryThatMustBeChanged(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	r.outage(errWrong)
	require.ErrorIs(t, r.Connect(t.Context()), relay.ErrMisconfigured)
	r.requireOn("first")
	require.Zero(t, r.log.Len())
}

func TestStartWithoutAny(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(*rig){
		"first": func(r *rig) { r.outage(nil) }, "second": func(r *rig) { r.second.look = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newIdleRig(t)
			r.outage(errOut)
			r.second.look = errOut
			require.ErrorIs(t, r.Connect(t.Context()), relay.ErrUnavailable)
			r.requireOn("first")
			back(r)
			r.idle(1)
			r.requireOn(name)
		})
	}
}

// TestTheSessionKeepsItsBroker decides for another one twice: the first decision is over before a session has begun.
func TestTheSessionKeepsItsBroker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	r.idle(11)
	r.requireOn("second")
	r.outage(nil)
	r.idle(31)
	r.requireOn("first")
	require.NoError(t, r.publish())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Wait(ctx), context.Canceled, "nothing is due any more")
}

func TestOptionalParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.HoldKeys()
	require.True(t, r.first.held && r.second.held)
	require.Implements(t, (*relay.Ledger)(nil), r.primary.use())
	_, reads := r.fallback.use().(relay.Ledger)
	require.False(t, reads, "a broker that cannot be read back does not pretend to")
	require.NoError(t, r.Close(t.Context()))
	require.True(t, r.first.closed && r.second.closed)
	require.Equal(t, "second", r.Rehome())
}

func TestLedgerOfABrokerThatIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.active.(relay.Ledger)
	r.outage(errOut)
	r.idle(11)
	_, err := old.Inspect(t.Context())
	require.ErrorIs(t, err, relay.ErrSwitched)
	require.ErrorIs(t, old.Scan(t.Context(), relay.Scan{}, nil), relay.ErrSwitched)
	require.ErrorIs(t, r.active.(relay.Connector).Connect(t.Context()), relay.ErrSwitched)
}

// TestACallThatNobodyWantsAnyMoreSaysNothing ends calls as a stop of the relay does.
func TestACallThatNobodyWantsAnyMoreSaysNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.outage(errOut)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.active.Publish(ctx, nil)
	require.Error(t, err)
	_, err = r.active.(relay.Ledger).Inspect(ctx)
	require.Error(t, err)
	require.False(t, r.machine.outage.begun())
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}, &broker{name: "a"}, &broker{name: "b"}, zap.NewNop())
	assert.ErrorContains(t, err, "after is 0s, allowed: 1s or more")
	assert.ErrorContains(t, err, "failback_after is 0s, allowed: 1s or more")
	_, err = New(testSettings, &broker{name: "a"}, &broker{name: "a"}, zap.NewNop())
	assert.ErrorContains(t, err, "could not be told apart")
}

// TestTheBackgroundLooks is about the loop alone: it begins with Use and ends with Close.
func TestTheBackgroundLooks(t *testing.T) {
	t.Parallel()
	first, second := &broker{name: "first"}, &broker{name: "second"}
	p, err := New(testSettings, first, second, zap.NewNop())
	require.NoError(t, err)
	require.Equal(t, first, p.Use(t.Context()).(*side).Publisher)
	require.NoError(t, p.Close(t.Context()))
}

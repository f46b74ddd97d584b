package publishertest

import (
	"context"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gameoutbox/relay/relay"
)

// soon is how long Publish may take to find out that there is no broker.
const soon = 30 * time.Second

// expectUnavailable checks that Publish says soon that there is no broker, and claims nothing.
func (f *fixture) expectUnavailable(events []relay.Event) {
	f.Helper()
	began := time.Now()
	outcomes, err := f.publish(f.ctx, events)
	require.ErrorIs(f, err, relay.ErrUnavailable)
	require.Less(f, time.Since(began), soon)
	require.NotEmpty(f, err.Error())
	for _, outcome := range outcomes {
		require.Zero(f, outcome)
	}
}

func outage(f *fixture) {
	before, during, after := f.events(50, 3), f.events(50, 3), f.events(50, 3)
	f.mustStore(before)
	f.place.Stop(f.T)
	f.expectUnavailable(during)
	f.expectUnavailable(during[:1])
	f.place.Start(f.T)
	require.Empty(f, f.deliver(during))
	require.Empty(f, f.deliver(after))
	f.expectStored(append(append(before, during...), after...)...)
}

func startInOutage(f *fixture) {
	before, during := f.events(5, 3), f.events(50, 3)
	f.mustStore(before)
	f.place.Stop(f.T)
	f.publisher = f.open()
	f.expectUnavailable(during)
	f.place.Start(f.T)
	require.Empty(f, f.deliver(during))
	f.expectStored(append(before, during...)...)
}

// outagesMidway stops and starts the server again and again while events are delivered.
func outagesMidway(f *fixture) {
	const outages = 3
	var all []relay.Event
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range outages {
			f.place.Stop(f.T)
			f.place.Start(f.T)
		}
	}()
	for running := true; running; {
		events := f.events(500, 7)
		assert.Empty(f, f.deliver(events))
		all = append(all, events...)
		select {
		case <-over:
			running = false
		default:
		}
		running = running && len(all) < 200_000
	}
	<-over
	last := f.events(100, 7)
	require.Empty(f, f.deliver(last))
	f.expectStored(append(all, last...)...)
}

func endedContext(f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	events := f.events(10, 3)
	outcomes, err := f.publish(ctx, events)
	require.ErrorIs(f, err, context.Canceled)
	for _, outcome := range outcomes {
		require.Zero(f, outcome)
	}
	f.expectStored()
	f.mustStore(events)
	f.expectStored(events...)
}

// contextEndsMidway ends Publish at some moment, which may be any, and checks that it claimed no more than is true.
func contextEndsMidway(f *fixture) {
	var all []relay.Event
	for i := range 20 {
		events := f.events(1000, 7)
		ctx, cancel := context.WithTimeout(f.ctx, time.Duration(i)*500*time.Microsecond)
		began := time.Now()
		outcomes, err := f.publish(ctx, events)
		cancel()
		require.Less(f, time.Since(began), soon)
		if err != nil {
			require.ErrorIs(f, err, context.DeadlineExceeded)
		}
		f.expectClaimed(events, outcomes)
		require.Empty(f, f.deliver(events))
		all = append(all, events...)
	}
	f.expectStored(all...)
}

// expectClaimed checks that every event is stored of which an outcome says so.
func (f *fixture) expectClaimed(events []relay.Event, outcomes []relay.Outcome) {
	f.Helper()
	if f.place.Read == nil {
		return
	}
	stored := map[string]bool{}
	for _, s := range f.place.Read(f.T) {
		stored[s.EventID] = true
	}
	for i, outcome := range outcomes {
		require.False(f, outcome.Stored && !stored[events[i].EventID.String()], "event %d is claimed and not stored", i)
	}
}

func closedPublisher(f *fixture) {
	publisher := f.place.New(f.T)
	_, err := publisher.Publish(f.ctx, f.events(3, 1))
	require.NoError(f, err)
	require.NoError(f, publisher.Close(f.ctx))
	require.NoError(f, publisher.Close(f.ctx))
	events := f.events(3, 1)
	outcomes, err := publisher.Publish(f.ctx, events)
	require.ErrorIs(f, err, relay.ErrUnavailable)
	require.Equal(f, make([]relay.Outcome, len(events)), outcomes)
}

// leavesNothing looks for goroutines of publishers that were closed. The first publisher is used before, for a server
// in the same process starts some of its own for it.
func leavesNothing(f *fixture) {
	f.mustStore(f.events(200, 7))
	require.NoError(f, f.publisher.Close(f.ctx))
	before := goleak.IgnoreCurrent()
	for range 3 {
		publisher := f.place.New(f.T)
		_, err := publisher.Publish(f.ctx, f.events(200, 7))
		require.NoError(f, err)
		require.NoError(f, publisher.Close(f.ctx))
	}
	goleak.VerifyNone(f, before)
}

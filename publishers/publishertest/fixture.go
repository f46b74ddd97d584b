package publishertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// patience is how long the suite waits for what must happen soon. Nothing is slept for so long.
const patience = 60 * time.Second

// fixture is a case with its place and its publisher.
type fixture struct {
	*testing.T
	harness   Harness
	place     Place
	publisher relay.Publisher
	ctx       context.Context
	nextID    int64
}

func newFixture(t *testing.T, h Harness, place Place) *fixture {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	f := &fixture{T: t, harness: h, place: place, ctx: ctx}
	f.publisher = f.open()
	return f
}

// open returns a further publisher of the place.
func (f *fixture) open() relay.Publisher {
	publisher := f.place.New(f.T)
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(f, publisher.Close(ctx))
	})
	return publisher
}

// event returns a new event with an id of its own. Its key may be empty.
func (f *fixture) event(key string) relay.Event {
	f.nextID++
	e := relay.Event{
		ID:        f.nextID,
		Subject:   f.place.Subject + ".player.level_up",
		Key:       key,
		Headers:   map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		Payload:   fmt.Appendf(nil, `{"number":%d,"key":%q}`, f.nextID, key),
		CreatedAt: time.Date(2026, 3, 1, 12, 30, 45, 120_000_000, time.UTC).Add(time.Duration(f.nextID) * time.Microsecond),
	}
	_, err := rand.Read(e.EventID[:])
	require.NoError(f, err)
	return e
}

// events returns n new events that share the given number of keys; one in ten has no key.
func (f *fixture) events(n, keys int) []relay.Event {
	events := make([]relay.Event, n)
	for i := range events {
		key := ""
		if i%10 != 9 {
			key = fmt.Sprintf("player-%d", i%keys)
		}
		events[i] = f.event(key)
	}
	return events
}

// publish calls Publish once and checks what holds for every call.
func (f *fixture) publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	f.Helper()
	outcomes, err := f.publisher.Publish(ctx, events)
	require.Len(f, outcomes, len(events), "there is one outcome an event, whatever the error is")
	blocked := map[string]bool{}
	for i, outcome := range outcomes {
		key := events[i].Key
		if outcome.Stored {
			require.NoError(f, outcome.Err, "a stored event has no error")
			require.False(f, key != "" && blocked[key], "event %d overtook an earlier one of its key", i)
		} else if !isPermanent(outcome.Err) {
			blocked[key] = true
		}
	}
	return outcomes, err
}

// mustStore publishes events in one call that stores them all, and returns the outcomes.
func (f *fixture) mustStore(events []relay.Event) []relay.Outcome {
	f.Helper()
	outcomes, err := f.publish(f.ctx, events)
	require.NoError(f, err)
	for i, outcome := range outcomes {
		require.NoError(f, outcome.Err, "event %d", i)
		require.True(f, outcome.Stored, "event %d", i)
	}
	return outcomes
}

// deliver publishes events as the relay does: again, in order, until each is stored or refused for good. It returns those
// that were refused.
func (f *fixture) deliver(events []relay.Event) (refused map[int64]*relay.PermanentError) {
	f.Helper()
	refused = map[int64]*relay.PermanentError{}
	for len(events) > 0 {
		require.NoError(f, f.ctx.Err(), "the events could not be delivered in time")
		outcomes, err := f.publish(f.ctx, events)
		var left []relay.Event
		for i, outcome := range outcomes {
			switch permanent := asPermanent(outcome.Err); {
			case permanent != nil:
				refused[events[i].ID] = permanent
			case !outcome.Stored:
				left = append(left, events[i])
			}
		}
		if len(left) == len(events) {
			f.Logf("nothing was stored of %d events: %v, %v", len(events), err, outcomes[0].Err)
			f.pause()
		}
		events = left
	}
	return refused
}

// pause is the relay's backoff.
func (f *fixture) pause() {
	select {
	case <-f.ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

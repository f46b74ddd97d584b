package publishertest

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// ledgerOf returns the publisher's ledger; the harness says that it has one.
func (f *fixture) ledgerOf() relay.Ledger {
	f.Helper()
	ledger, ok := f.publisher.(relay.Ledger)
	require.True(f, ok, "the publisher is no relay.Ledger")
	return ledger
}

// readBack finds every event in its place, with and without payloads.
func readBack(f *fixture) {
	ledger := f.ledgerOf()
	empty, err := ledger.Inspect(f.ctx)
	require.NoError(f, err)
	events := f.events(1000, 7)
	outcomes := f.mustStore(events)
	state, err := ledger.Inspect(f.ctx)
	require.NoError(f, err)
	require.True(f, state.Continues(empty))
	require.False(f, empty.Continues(state))
	for _, outcome := range outcomes {
		require.Greater(f, outcome.Sequence, empty.Last)
		require.LessOrEqual(f, outcome.Sequence, state.Last)
	}
	for _, payloads := range []bool{false, true} {
		found := f.scan(relay.Scan{First: empty.Last + 1, Last: state.Last, Payloads: payloads})
		require.Len(f, found, len(events))
		byID := map[outbox.ID]relay.StoredEvent{}
		for _, each := range found {
			byID[each.EventID] = each
		}
		for _, e := range events { // keys may be stored in any order
			requireSame(f, e, byID[e.EventID], payloads)
		}
		part := f.scan(relay.Scan{First: found[100].Sequence, Last: found[199].Sequence, Payloads: payloads})
		require.Equal(f, found[100:200], part)
		require.Equal(f, found, f.scan(relay.Scan{
			First: empty.Last + 1, Last: state.Last, Payloads: payloads, Since: found[0].StoredAt.Add(-1),
		}))
	}
	require.Empty(f, f.scan(relay.Scan{First: state.Last + 1, Last: state.Last}))
}

func requireSame(f *fixture, want relay.Event, got relay.StoredEvent, payload bool) {
	f.Helper()
	require.Equal(f, want.ID, got.ID)
	require.Equal(f, want.Subject, got.Subject)
	require.Equal(f, want.Key, got.Key)
	require.False(f, got.StoredAt.IsZero())
	if payload {
		require.Equal(f, want.Payload, got.Payload)
		require.Equal(f, want.Headers, got.Headers)
	}
}

// scan returns what a scan finds.
func (f *fixture) scan(scan relay.Scan) (found []relay.StoredEvent) {
	f.Helper()
	require.NoError(f, f.ledgerOf().Scan(f.ctx, scan, func(event relay.StoredEvent) error {
		event.Payload = append([]byte(nil), event.Payload...)
		found = append(found, event)
		return nil
	}))
	return found
}

// scanEnds when the caller has seen enough.
func scanEnds(f *fixture) {
	f.mustStore(f.events(100, 3))
	state, err := f.ledgerOf().Inspect(f.ctx)
	require.NoError(f, err)
	enough, seen := errors.New("enough"), 0
	err = f.ledgerOf().Scan(f.ctx, relay.Scan{First: state.First, Last: state.Last}, func(relay.StoredEvent) error {
		if seen++; seen == 10 {
			return enough
		}
		return nil
	})
	require.ErrorIs(f, err, enough)
	require.Equal(f, 10, seen)
}

// acceptedState is watched from then on: a stream that goes on is no loss, also when another publisher stores there.
func acceptedState(f *fixture) {
	first, second := f.events(100, 3), f.events(100, 3)
	state, err := f.ledgerOf().Inspect(f.ctx)
	require.NoError(f, err)
	f.ledgerOf().Accept(state)
	f.mustStore(first)
	outcomes, err := f.open().Publish(f.ctx, second)
	require.NoError(f, err)
	require.True(f, outcomes[99].Stored)
	third := f.events(100, 3)
	f.mustStore(third)
	f.expectStored(append(append(first, second...), third...)...)
}

// contradictedState is a stream that ends before the state which was accepted: nothing is sent until the relay has dealt with that.
func contradictedState(f *fixture) {
	f.mustStore(f.events(10, 3))
	state, err := f.ledgerOf().Inspect(f.ctx)
	require.NoError(f, err)
	before := state
	state.Last += 1000
	f.ledgerOf().Accept(state)
	outcomes, err := f.publish(f.ctx, f.events(10, 3))
	require.ErrorIs(f, err, relay.ErrRewound)
	for _, outcome := range outcomes {
		require.Equal(f, relay.Outcome{}, outcome)
	}
	after, err := f.ledgerOf().Inspect(f.ctx)
	require.NoError(f, err, "it can be looked at nevertheless")
	require.Equal(f, before.Last, after.Last, "nothing was sent")
	f.ledgerOf().Accept(after)
	f.mustStore(f.events(10, 3))
}

// holdsKeys stores nothing of a key behind an event of it that is refused for good, when it is told to.
func holdsKeys(f *fixture) {
	holder, ok := f.publisher.(relay.KeyHolder)
	require.True(f, ok, "a publisher that refuses events for good is a relay.KeyHolder")
	holder.HoldKeys()
	events := []relay.Event{f.event("a"), f.event("a"), f.event("a"), f.event("b"), f.event("")}
	events[1].Payload = make([]byte, f.harness.TooLarge)
	outcomes, err := f.publisher.Publish(f.ctx, events)
	require.NoError(f, err)
	require.True(f, outcomes[0].Stored)
	require.NotNil(f, asPermanent(outcomes[1].Err))
	require.Equal(f, relay.Outcome{}, outcomes[2], "it was not sent, and it is not to blame")
	require.True(f, outcomes[3].Stored)
	require.True(f, outcomes[4].Stored)
	f.expectStored(events[0], events[3], events[4])
}

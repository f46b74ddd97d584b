package publishertest

import (
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func orderByKey(f *fixture) {
	events := f.events(1000, 17)
	f.mustStore(events)
	f.expectStored(events...)
}

func bigBatch(f *fixture) {
	events := f.events(5000, 300)
	f.mustStore(events)
	f.expectStored(events...)
}

func manyBatches(f *fixture) {
	var all []relay.Event
	for _, size := range []int{1, 2, 3, 1, 50, 1, 400, 2} {
		events := f.events(size, 2)
		f.mustStore(events)
		all = append(all, events...)
	}
	f.expectStored(all...)
}

func duplicateEvent(f *fixture) {
	e := f.event("player-1")
	first := f.mustStore([]relay.Event{e})[0]
	second := f.mustStore([]relay.Event{e})[0]
	f.expectStored(e)
	f.expectDuplicates(first, second)
}

func duplicateBatch(f *fixture) {
	events := f.events(300, 7)
	f.mustStore(events)
	second := f.mustStore(events)
	f.expectStored(events...)
	f.expectDuplicates(relay.Outcome{}, second...)
}

// expectDuplicates checks the outcomes of a second attempt. A broker that keeps nothing cannot know.
func (f *fixture) expectDuplicates(first relay.Outcome, second ...relay.Outcome) {
	f.Helper()
	if f.place.Read == nil {
		return
	}
	require.False(f, first.Duplicate)
	for i, outcome := range second {
		require.True(f, outcome.Duplicate, "outcome %d", i)
	}
}

func halfDuplicate(f *fixture) {
	events := f.events(400, 7)
	var scattered []relay.Event
	for i := range events {
		// Every other key was stored before; so no event overtakes one of its key.
		if events[i].Key >= "player-4" {
			scattered = append(scattered, events[i])
		}
	}
	f.mustStore(scattered)
	f.mustStore(events[:200])
	f.mustStore(events)
	f.expectStored(events...)
}

func duplicateOfAnother(f *fixture) {
	events := f.events(100, 7)
	f.mustStore(events[:60])
	f.publisher = f.open()
	f.mustStore(events)
	f.publisher = f.open()
	f.mustStore(slices.Clone(events[40:]))
	f.expectStored(events...)
}

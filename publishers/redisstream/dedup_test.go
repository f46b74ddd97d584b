package redisstream

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// Ids outlive the server, also where it is killed, and the publisher that stored them.
func TestDuplicatesAcrossPublishersAndRestarts(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		events := testEvents(1500, 7)
		p, _ := connect(t, cfg)
		first := publish(t, p, events)
		for name, between := range map[string]func(){"another publisher": func() {}, "restart": s.Restart, "kill": func() { s.Kill(); s.Start() }} {
			between()
			other, _ := connect(t, cfg)
			for i, outcome := range publish(t, other, events) {
				require.Equal(t, relay.Outcome{Stored: true, Duplicate: true, Sequence: first[i].Sequence}, outcome, name)
			}
			deliver(t, p, events)
		}
		require.Equal(t, ids(events), storedIDs(t, admin(t, cfg), cfg.Stream))
	})
}

// Sequences are those of the entries, and grow.
func TestSequencesAreThoseOfTheEntries(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		p, _ := connect(t, cfg)
		events := testEvents(1100, 7)
		twice := append(append([]relay.Event{}, events...), events[5], events[1099])
		outcomes := publish(t, p, twice)
		entries, err := admin(t, cfg).XRange(t.Context(), cfg.Stream, "-", "+").Result()
		require.NoError(t, err)
		require.Len(t, entries, len(events))
		for i, entry := range entries {
			sequence, ok := parseSequence(entry.ID)
			require.True(t, ok)
			require.Equal(t, stored(sequence, false), outcomes[i])
		}
		require.Equal(t, []relay.Outcome{
			{Stored: true, Duplicate: true, Sequence: outcomes[5].Sequence}, {Stored: true, Duplicate: true, Sequence: outcomes[1099].Sequence},
		}, outcomes[1100:])
	})
}

// Events that were removed with their stream are stored again: they may be sent on purpose, to heal what was lost.
func TestStreamThatWasRemovedIsFilledAgain(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		events := testEvents(700, 7)
		publish(t, p, events)
		require.NoError(t, c.Del(t.Context(), cfg.Stream).Err())
		for _, outcome := range publish(t, p, events) {
			require.False(t, outcome.Duplicate)
		}
		publish(t, p, events)
		require.Equal(t, ids(events), storedIDs(t, c, cfg.Stream))
	})
}

// The ids beside the stream may know more than a stream that was restored from a backup.
func TestStreamThatWasSetBackIsFilledAgain(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	c := admin(t, cfg)
	p, _ := connect(t, cfg)
	kept, missing := testEvents(20, 3), testEvents(5*partEvents, 3)
	publish(t, p, kept)
	backup, err := c.Dump(t.Context(), cfg.Stream).Result()
	require.NoError(t, err)
	publish(t, p, missing)
	require.NoError(t, c.RestoreReplace(t.Context(), cfg.Stream, 0, backup).Err())
	publish(t, p, missing)
	publish(t, p, missing)
	require.Equal(t, append(ids(kept), ids(missing)...), storedIDs(t, c, cfg.Stream))
}

// An id lives for one to two windows, and the older half of the ids goes away when nothing comes.
func TestIDsAreForgottenAfterTheWindow(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	cfg.DedupWindow = 8 * time.Second // longer than a busy machine takes between two steps
	c := admin(t, cfg)
	p, _ := connect(t, cfg)
	old := testEvents(1, 0)
	publish(t, p, old)
	younger, older := besides(cfg.Stream, idsKey), besides(cfg.Stream, olderKey)
	require.True(t, publish(t, p, old)[0].Duplicate)
	require.Eventually(t, func() bool {
		publish(t, p, testEvents(1, 0))
		return c.Exists(context.Background(), older).Val() == 1
	}, patience, tick)
	require.True(t, publish(t, p, old)[0].Duplicate, "the older ids are known too")
	require.Eventually(t, func() bool { return !publish(t, p, old)[0].Duplicate }, 2*patience, 100*time.Millisecond)
	require.Eventually(t, func() bool { return c.Exists(context.Background(), younger, older).Val() == 0 }, patience, tick)
}

// A full half of the ids becomes the older one before its time.
func TestIDsAreLimitedInNumber(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	c := admin(t, cfg)
	p, _ := connect(t, cfg)
	publish(t, p, testEvents(1, 0))
	younger, older := besides(cfg.Stream, idsKey), besides(cfg.Stream, olderKey)
	const step = 10_000 // a server that runs one script for seconds refuses all others
	for first := 1; first <= rememberedIDs; first += step {
		fill := "for i = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], i, '0-1') end return 1"
		require.NoError(t, c.Eval(t.Context(), fill, []string{younger}, first, min(first+step-1, rememberedIDs)).Err())
	}
	publish(t, p, testEvents(1, 0))
	require.Greater(t, c.HLen(t.Context(), older).Val(), int64(rememberedIDs))
	require.Less(t, c.HLen(t.Context(), younger).Val(), int64(10))
}

// A stream that somebody else made gets room for the ids, once.
func TestIDMPLimitsOfAnExistingStream(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, start(t, "8.6").URL)
	c := admin(t, cfg)
	require.NoError(t, c.XAdd(t.Context(), addOf(cfg.Stream)).Err())
	p, logs := connect(t, cfg)
	info, err := c.XInfoStream(t.Context(), cfg.Stream).Result()
	require.NoError(t, err)
	require.EqualValues(t, 120, info.IDMPDuration)
	require.EqualValues(t, rememberedIDs/producers, info.IDMPMaxSize)
	require.Len(t, logged(logs, "the stream remembers too few ids; its limits are raised, and it forgets the ids that it knows"), 1)
	events := testEvents(300, 3)
	publish(t, p, events)

	cfg.DedupWindow = time.Minute
	narrow, logs := connect(t, cfg)
	require.Len(t, logs.All(), 1, "limits are never lowered")
	for _, outcome := range publish(t, narrow, events) {
		require.True(t, outcome.Duplicate)
	}
}

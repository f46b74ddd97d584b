package redisstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// TestEntriesThatCannotBeEventsAreLeftOut where one value is larger than that of any event.
func TestEntriesThatCannotBeEventsAreLeftOut(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		events := testEvents(40, 3)
		publish(t, p, events[:20])
		for field, bytes := range map[string]int{
			"event_id": 37, "subject": 256, "key": 256, "seq": 20, "headers": 6*32<<10 + 1, "payload": 1<<20 + 1,
		} {
			plant(t, c, cfg, field, strings.Repeat("1", bytes))
		}
		publish(t, p, events[20:])
		requireScanned(t, p, events)
	})
}

// TestHugeEntriesKeepNoLeaderFromStarting nor a huge name of a group. XINFO shows the first and the last
// entry, so both are huge too.
func TestHugeEntriesKeepNoLeaderFromStarting(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"8.0", "8.6"} { // not beside each other: the entries are huge
		t.Run(version, func(t *testing.T) {
			cfg := configFor(t, start(t, version, "--save", "", "--appendonly", "no").URL)
			c := admin(t, cfg)
			huge := strings.Repeat("x", maxBulk+1)
			plant(t, c, cfg, "subject", huge)
			p, _ := connect(t, cfg)
			first := accept(t, p)
			events := testEvents(40, 3)
			publish(t, p, events[:20])
			plant(t, c, cfg, "event_id", huge)
			publish(t, p, events[20:])
			require.NoError(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: cfg.Stream, Values: []any{huge, ""}}).Err())
			require.NoError(t, c.XGroupCreate(t.Context(), cfg.Stream, "outbox-relay:"+huge, "$").Err())

			next, _ := connect(t, cfg)
			require.True(t, accept(t, next).Continues(first))
			requireScanned(t, next, events)
		})
	}
}

// TestTheLargestEventIsFound although each byte of its headers needs an escape.
func TestTheLargestEventIsFound(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		p, _ := connect(t, cfg)
		events := testEvents(3, 1)
		largest := &events[1]
		largest.ID = 1<<62 - 1
		largest.Subject, largest.Key = strings.Repeat("s", 255), strings.Repeat("k", 255)
		largest.Payload = make([]byte, 1<<20)
		largest.Headers = map[string]string{"a": strings.Repeat("<", 32<<10-len(`{"a": ""}`))}
		publish(t, p, events)
		requireScanned(t, p, events)
	})
}

// TestLargeEntriesAreReadOneAtATime so that the server never holds many of them twice.
func TestLargeEntriesAreReadOneAtATime(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		const entries, size = 32, 16 << 20
		cfg := configFor(t, start(t, version, "--save", "", "--appendonly", "no").URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		events := testEvents(100, 3)
		publish(t, p, events)
		for range entries {
			large := &redis.XAddArgs{Stream: cfg.Stream, Values: []any{"a", make([]byte, size)}}
			require.NoError(t, c.XAdd(t.Context(), large).Err())
		}
		before := memoryPeak(t, c)
		requireScanned(t, p, events)
		require.Less(t, memoryPeak(t, c)-before, int64(8*size))
	})
}

// plant adds an entry that looks like an event, but for one field.
func plant(t *testing.T, c *redis.Client, cfg Config, field, value string) {
	t.Helper()
	entry := map[string]any{"event_id": newID(t), "subject": "game.x", "key": "k", "headers": "{}", "payload": "", "seq": 1}
	entry[field] = value
	require.NoError(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: cfg.Stream, Values: entry}).Err())
}

// requireScanned checks that a scan finds these events and no others, with and without their payloads.
func requireScanned(t *testing.T, p *Publisher, events []relay.Event) {
	t.Helper()
	state, err := p.Inspect(t.Context())
	require.NoError(t, err)
	for _, payloads := range []bool{false, true} {
		var found []outbox.ID
		scan := relay.Scan{First: 1, Last: state.Last, Payloads: payloads}
		require.NoError(t, p.Scan(t.Context(), scan, func(event relay.StoredEvent) error {
			if found = append(found, event.EventID); payloads {
				require.Equal(t, events[len(found)-1].Headers, event.Headers)
			}
			return nil
		}))
		var want []outbox.ID
		for i := range events {
			want = append(want, events[i].EventID)
		}
		require.Equal(t, want, found)
	}
}

func newID(t *testing.T) string {
	t.Helper()
	var event relay.Event
	freshID(&event)
	text, err := event.EventID.MarshalText()
	require.NoError(t, err)
	return string(text)
}

// memoryPeak returns the most memory that the server has used.
func memoryPeak(t *testing.T, c *redis.Client) (peak int64) {
	t.Helper()
	text, err := c.Info(t.Context(), "memory").Result()
	require.NoError(t, err)
	_, text, found := strings.Cut(text, "used_memory_peak:")
	require.True(t, found)
	_, err = fmt.Sscan(text, &peak)
	require.NoError(t, err)
	return peak
}

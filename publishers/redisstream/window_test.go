package redisstream

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAServerRefusesInTheMidstOfWindows lets the memory of a server end somewhere in the second of four windows. What is stored is the
// beginning of the batch, and the outcomes say how much; the rest comes with the next call, in order.
func TestAServerRefusesInTheMidstOfWindows(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		events := testEvents(3*windowParts*partEvents+5, 1000)
		const half = windowParts * partEvents * 3 / 2
		publish(t, p, events[:half])
		filled := usedMemory(t, c.Info(t.Context(), "memory").Val())
		require.NoError(t, c.Del(t.Context(), cfg.Stream).Err())
		require.NoError(t, c.ConfigSet(t.Context(), "maxmemory", strconv.FormatInt(filled, 10)).Err())

		outcomes, err := p.Publish(t.Context(), events)
		require.Equal(t, "throttled", kind(err), "%v", err)
		stored := 0
		for stored < len(outcomes) && outcomes[stored].Stored {
			stored++
		}
		require.Greater(t, stored, windowParts*partEvents/2)
		require.Less(t, stored, len(events)-windowParts*partEvents)
		for _, outcome := range outcomes[stored:] {
			require.Zero(t, outcome, "nothing is said of an event behind")
		}
		require.Equal(t, ids(events[:stored]), storedIDs(t, c, cfg.Stream))

		require.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
		deliver(t, p, events[stored:])
		require.Equal(t, ids(events), storedIDs(t, c, cfg.Stream))
	})
}

func usedMemory(t *testing.T, info string) int64 {
	t.Helper()
	_, rest, found := strings.Cut(info, "used_memory:")
	require.True(t, found, info)
	text, _, _ := strings.Cut(rest, "\r\n")
	used, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return used
}

// TestALostGateRefusesTheWholeRest: a gate that is gone says nothing against an event, which would be sent alone and wait.
func TestALostGateRefusesTheWholeRest(t *testing.T) {
	t.Parallel()
	events := testEvents(3, 0)
	c := newTestCall(t, events)
	parts, _ := c.split(0)
	replies := []reply{{failure: "GATE the part before was not stored"}}
	require.Error(t, c.refused(t.Context(), nil, nil, parts, replies, newServerError(replies[0].failure)))
	require.Zero(t, c.outcomes[0])
}

package redisstream

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// What a person sees with the tools of Redis is what the contract says, field by field.
func TestContractAsRedisCLIShowsIt(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		cfg.Stream = "game:events"
		p, _ := connect(t, cfg)
		events := testEvents(7, 1)
		last := &events[6]
		last.Headers = map[string]string{"traceparent": "00-1", "Nats-Rollup": "all"}
		last.CreatedAt = time.Date(2026, 3, 1, 14, 30, 45, 120_000_000, time.FixedZone("", 2*3600))
		last.ID, last.Payload = 4711, []byte(`{"level":7}`)
		publish(t, p, events)

		require.Equal(t, "7\n", s.Exec("redis-cli", "XLEN", "game:events"))
		lines := strings.Split(s.Exec("redis-cli", "XREVRANGE", "game:events", "+", "-", "COUNT", "5"), "\n")
		require.Len(t, lines, 5*(1+2*fields)+1)
		require.Regexp(t, `^\d{13}-\d+$`, lines[0])
		require.Equal(t, []string{
			"event_id", last.EventID.String(), "subject", "game.player.level_up", "key", "player-0", "headers", `{"traceparent":"00-1"}`,
			"payload", `{"level":7}`, "created_at", "2026-03-01T12:30:45.120000Z", "seq", "4711",
		}, lines[1:1+2*fields])
	})
}

func TestHeadersAreAJSONObject(t *testing.T) {
	t.Parallel()
	for _, headers := range []map[string]string{
		nil, {}, {"a": "1", "b": "\"\\\n\t\u2028 é 玩家 <&>"}, {"Nats-Msg-Id": "x", "outbox-seq": "1"},
	} {
		event := relay.Event{Headers: headers}
		text := "{}"
		if arg, ok := headersOf(&event).(*headersArg); ok {
			b, err := arg.MarshalBinary()
			require.NoError(t, err)
			text = string(b)
		}
		var got map[string]string
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		want := map[string]string{}
		for name, value := range headers {
			if !reserved(name) {
				want[name] = value
			}
		}
		require.Equal(t, want, got)
	}
}

// Trimming removes what nobody has read, and the log says so at the start.
func TestTrimming(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		address := start(t, version).URL
		events := testEvents(3000, 7)

		cfg := configFor(t, address)
		cfg.MaxLen = 500
		p, logs := connect(t, cfg)
		publish(t, p, events)
		have := storedIDs(t, admin(t, cfg), cfg.Stream)
		require.GreaterOrEqual(t, len(have), 500)
		require.Less(t, len(have), 700, "whole nodes of up to 100 entries are removed")
		require.Equal(t, ids(events)[3000-len(have):], have)
		require.Len(t, logged(logs, "the stream is trimmed: consumers that are behind lose events"), 1)
		for _, outcome := range publish(t, p, events) {
			require.True(t, outcome.Duplicate, "what was removed was stored all the same")
		}

		cfg = configFor(t, address)
		cfg.MaxAge = time.Second
		p, _ = connect(t, cfg)
		publish(t, p, events)
		c := admin(t, cfg)
		require.Eventually(t, func() bool {
			publish(t, p, testEvents(1, 0))
			return c.XLen(t.Context(), cfg.Stream).Val() < 500
		}, patience, 100*time.Millisecond)
	})
}

// An entry that somebody else added disturbs nothing.
func TestStreamWithOtherEntries(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	c := admin(t, cfg)
	p, _ := connect(t, cfg)
	events := testEvents(10, 3)
	publish(t, p, events[:5])
	require.NoError(t, c.XAdd(t.Context(), addOf(cfg.Stream)).Err())
	publish(t, p, events)
	require.EqualValues(t, 11, c.XLen(t.Context(), cfg.Stream).Val())
}

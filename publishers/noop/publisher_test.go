package noop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/publishers/noop"
	"github.com/gameoutbox/relay/publishers/publishertest"
	"github.com/gameoutbox/relay/relay"
)

func TestConformance(t *testing.T) {
	publishertest.Run(t, publishertest.Harness{
		Open: func(*testing.T) publishertest.Place {
			return publishertest.Place{
				Subject: "game.noop",
				New:     func(*testing.T) relay.Publisher { return noop.New(zap.NewNop()) },
			}
		},
		MaxPayload:      1 << 20,
		TakesAnySubject: true,
	})
}

func TestSaysLoudlyThatNothingIsPublished(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	noop.New(zap.New(core))
	require.Equal(t, 1, logs.Len())
	entry := logs.All()[0]
	require.Equal(t, zapcore.WarnLevel, entry.Level)
	require.True(t, strings.HasPrefix(entry.Message, "MQ not configured, using noop publisher"), entry.Message)
	require.Contains(t, entry.Message, "NOTHING IS PUBLISHED")
}

func TestLogsEachEventWithAShortenedPayload(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	p := noop.New(zap.New(core))
	events := []relay.Event{
		{EventID: outbox.ID{1}, Subject: "game.player.7.level_up", Key: "player-7", Payload: []byte(`{"level":2}`)},
		{EventID: outbox.ID{2}, Subject: "game.long", Payload: []byte(strings.Repeat("x", 255) + strings.Repeat("升", 100))},
	}
	_, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	entries := logs.FilterMessage("event, not published").All()
	require.Len(t, entries, 2)
	require.Equal(t, map[string]any{
		"subject": "game.player.7.level_up", "key": "player-7", "event_id": "01000000-0000-0000-0000-000000000000",
		"bytes": int64(11), "payload": `{"level":2}`,
	}, entries[0].ContextMap())
	require.Equal(t, strings.Repeat("x", 255)+"...", entries[1].ContextMap()["payload"], "a character is not cut in two")
	require.Equal(t, int64(555), entries[1].ContextMap()["bytes"])
}

package noop_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/publishers/noop"
	"github.com/gameoutbox/relay/relay"
)

const missing = `mq.nats_url is "" (default)`

func TestSaysLoudlyThatNothingIsPublished(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	p := noop.New(zap.New(core), missing)
	require.Equal(t, 1, logs.Len())
	entry := logs.All()[0]
	require.Equal(t, zapcore.WarnLevel, entry.Level)
	require.Equal(t, "MQ not configured, using noop publisher", entry.Message)
	require.Contains(t, entry.ContextMap()["effect"], "NOTHING IS PUBLISHED")
	require.Equal(t, missing, entry.ContextMap()["missing"])
	require.Equal(t, missing, p.Missing())
}

func TestLogsEachEventWithAShortenedPayload(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	p := noop.New(zap.New(core), missing)
	events := []relay.Event{
		{ID: 7, EventID: outbox.ID{1}, Subject: "game.player.7.level_up", Key: "player-7", Payload: []byte(`{"level":2}`)},
		{ID: 8, EventID: outbox.ID{2}, Subject: "game.long", Payload: []byte(strings.Repeat("x", 255) + strings.Repeat("升", 100))},
	}
	outcomes, err := p.Publish(t.Context(), events)
	require.ErrorIs(t, err, relay.ErrMisconfigured)
	require.Equal(t, make([]relay.Outcome, 2), outcomes, "none is stored, and none is refused for good")
	entries := logs.FilterMessage("event, not published").All()
	require.Len(t, entries, 2)
	require.Equal(t, map[string]any{
		"id": int64(7), "subject": "game.player.7.level_up", "key": "player-7", "event_id": "01000000-0000-0000-0000-000000000000",
		"bytes": int64(11), "payload": `{"level":2}`,
	}, entries[0].ContextMap())
	require.Equal(t, strings.Repeat("x", 255)+"...", entries[1].ContextMap()["payload"], "a character is not cut in two")
	require.Equal(t, int64(555), entries[1].ContextMap()["bytes"])
}

func TestLogsNothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	p := noop.New(zap.New(core), missing)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Publish(ended, make([]relay.Event, 1))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, p.Close(t.Context()))
	outcomes, err := p.Publish(t.Context(), make([]relay.Event, 1))
	require.ErrorIs(t, err, relay.ErrUnavailable)
	require.Len(t, outcomes, 1)
	require.Zero(t, logs.FilterMessage("event, not published").Len())
}

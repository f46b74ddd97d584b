package jetstream

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/relay"
)

// TestEveryOversizedEventIsToldItsSizeAndTheLimit lowers the limit after the publisher has looked
// at the stream.
func TestEveryOversizedEventIsToldItsSizeAndTheLimit(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		for _, n := range []int{1, 5} { // alone, and in company
			p, cfg, _ := behind(t, prepare, func(c *streamConfig) { c.MaxMsgSize = 1000 })
			for _, attempt := range []string{"first", "second"} {
				events := testEvents(cfg, n, 2)
				events[n/2].Payload = bytes.Repeat([]byte("x"), 2000)
				outcomes, err := p.Publish(t.Context(), events)
				require.NoError(t, err)
				refusal := outcomes[n/2].Err
				require.Equal(t, "permanent too_large", kind(refusal), attempt)
				require.Regexp(t, `payload and headers have 2\d\d\d bytes, the stream takes 1000; run: nats stream edit \S+ --max-msg-size=2\d\d\d --force`,
					refusal.Error(), attempt)
			}
		}
	})
}

func TestAnOversizedEventWhoseLimitIsUnknown(t *testing.T) {
	t.Parallel()
	event := relay.Event{Subject: "game.a", Payload: make([]byte, 500)}
	refusal := &relay.PermanentError{Reason: relay.ReasonTooLarge, Err: &apiError{Code: codeStoreFailed, Description: "message too large"}}
	err := withSizes(refusal, limits{payload: 1 << 20, subject: 255}, &event)
	require.Equal(t, "permanent too_large", kind(err))
	require.Regexp(t, `payload and headers have \d+ bytes, more than the server takes: the server answered "message too large"`, err.Error())
}

func TestWhatIsToldOfLimits(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	log, told := zap.New(core), &sizes{}
	for _, limit := range []int64{1 << 20, 1 << 20, roomyPayload, 1 << 20, 1 << 16, 1 << 16} {
		told.announce(log, limit) // at each connection
	}
	require.Equal(t, 2, logs.Len(), "once, and once more where the limit is another one")

	limit := limits{payload: 1000, event: 800, stream: "s"}
	require.False(t, limit.isNear(719))
	require.True(t, limit.isNear(720))
	for range 3 {
		told.warn(log, &relay.Event{ID: 7, Subject: "game.a"}, 720, limit)
	}
	near := logs.FilterMessage("event near the size limit")
	require.Equal(t, 1, near.Len())
	require.Equal(t, zap.WarnLevel, near.All()[0].Level)
	require.Contains(t, near.All()[0].ContextMap()["next"], "nats stream edit s --max-msg-size=1114112 --force")
	told.near = time.Now().Add(-nearInterval)
	told.warn(log, &relay.Event{}, 950, limits{payload: 1000})
	require.Equal(t, 2, logs.FilterMessage("event near the size limit").Len())
	require.Contains(t, logs.All()[3].ContextMap()["next"], "raise max_payload")
}

func TestAnEventNearTheLimitIsPublishedWithAWarning(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, startServer(t, "").url()) // 1 MiB, as it is installed
	p, logs := connect(t, cfg)
	events := testEvents(cfg, 3, 1)
	_, err := p.Publish(t.Context(), events[:2])
	require.NoError(t, err)
	require.Zero(t, logs.FilterMessage("event near the size limit").Len())
	events[2].Payload = make([]byte, 1_000_000)
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	requireStored(t, outcomes, 2)
	require.Equal(t, 1, logs.FilterMessage("event near the size limit").Len())
}

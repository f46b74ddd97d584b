package jetstream

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	e := newEncoder()
	full := relay.Event{
		ID: 42, EventID: outbox.ID{0xab, 15: 0x01}, Subject: "game.x", Key: "player-7", Payload: []byte("body"),
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 60_000_999, time.FixedZone("east", 3600)),
		Headers:   map[string]string{"X-Own": "1", "nATS-rollup": "all", "OUTBOX-key": "forged", "Nats-": "x", "Natsy": "stays"},
	}
	msg := e.encode(&full, "reply")
	require.Equal(t, "game.x", msg.Subject)
	require.Equal(t, "reply", msg.Reply)
	require.Equal(t, "body", string(msg.Data))
	require.Equal(t, nats.Header{
		"Nats-Msg-Id": {"ab000000-0000-0000-0000-000000000001"}, "Outbox-Key": {"player-7"},
		"Outbox-Created-At": {"2026-01-02T02:04:05.060000Z"}, "Outbox-Seq": {"42"}, "X-Own": {"1"}, "Natsy": {"stays"},
	}, msg.Header)

	again := relay.Event{ID: 42, Subject: "game.x", CreatedAt: time.Unix(0, 0), Rehomed: true}
	require.Equal(t, []string{"true"}, e.encode(&again, "").Header["Outbox-Rehomed"])

	bare := relay.Event{ID: 43, Subject: "game.y", CreatedAt: time.Unix(0, 0)}
	require.Equal(t, nats.Header{
		"Nats-Msg-Id": {"00000000-0000-0000-0000-000000000000"}, "Outbox-Created-At": {"1970-01-01T00:00:00.000000Z"}, "Outbox-Seq": {"43"},
	}, e.encode(&bare, "").Header, "nothing is left of the event before")
}

func TestCreatedIsFormattedAsTheLayoutSays(t *testing.T) {
	t.Parallel()
	e := newEncoder()
	base := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, at := range []time.Time{
		base, base.Add(time.Microsecond), base.Add(999_999_999), base.Add(time.Second), base.Add(123_456_789), base,
		time.Unix(0, 0), time.Unix(-1, 5000), time.Unix(-1, 999_999_000), base.In(time.FixedZone("west", -5*3600)).Add(120 * time.Millisecond),
	} {
		require.Equal(t, at.UTC().Format(createdLayout), string(e.appendCreated(nil, at)))
	}
}

// The size must be exactly what the client writes, or a server closes the connection.
func TestWireSizeIsWhatTheClientWrites(t *testing.T) {
	t.Parallel()
	for _, event := range []relay.Event{
		{ID: 1},
		{ID: 1_234_567_890_123, Key: "玩家", Payload: make([]byte, 1000)},
		{ID: -5, Key: " outer spaces ", Headers: map[string]string{"A": "b", "C": "\t d ", "Nats-X": "gone", "E": ""}},
		{ID: 6, Rehomed: true},
		{ID: 7, CreatedAt: time.Now(), Headers: map[string]string{"X": strings.Repeat("y", 5000)}},
	} {
		msg := newEncoder().encode(&event, "reply")
		headers, total := wireSize(&event)
		written := msg.Size() - len(msg.Subject) - len(msg.Reply)
		require.Equal(t, written, total)
		require.Equal(t, written-len(event.Payload), headers)
	}
}

func TestEncodeAllocatesLittle(t *testing.T) {
	e := newEncoder()
	event := relay.Event{ID: 42, Subject: "game.x", Key: "player-7", CreatedAt: time.Now()}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { e.encode(&event, "reply") }), 1.0)
}

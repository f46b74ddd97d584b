package redisstream

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/publishers/publishertest"
	"github.com/gameoutbox/relay/relay"
)

func TestConformanceOfTheScript(t *testing.T) { conformance(t, "8.0", hashMode) }

func TestConformanceOfIDMP(t *testing.T) { conformance(t, "8.6", idmpMode) }

// conformance runs the suite. The servers take values of 1 MiB at most, the least that can be set, so that something is too large.
func conformance(t *testing.T, version string, want mode) {
	const limit = 1 << 20
	shared := start(t, version, "--proto-max-bulk-len", "1048576")
	place := func(t *testing.T, address string) publishertest.Place {
		cfg := configFor(t, address)
		c := admin(t, cfg)
		return publishertest.Place{
			Subject: "game.suite",
			New:     func(t *testing.T) relay.Publisher { return openPublisher(t, cfg, want) },
			Read:    func(t *testing.T) []publishertest.Stored { return readStored(t, c, cfg.Stream) },
		}
	}
	publishertest.Run(t, publishertest.Harness{
		Open: func(t *testing.T) publishertest.Place { return place(t, shared.URL) },
		OpenOwn: func(t *testing.T) publishertest.Place {
			own := start(t, version)
			p := place(t, own.URL)
			p.Stop, p.Start = func(*testing.T) { own.Stop() }, func(*testing.T) { own.Start() }
			return p
		},
		MaxPayload: limit, TooLarge: limit + 1, TakesAnySubject: true, ReadsBack: true,
	})
}

// openPublisher starts as the relay does: an outage at the start is no reason to give up.
func openPublisher(t *testing.T, cfg Config, want mode) relay.Publisher {
	p, err := New(cfg, zap.NewNop())
	require.NoError(t, err)
	if err := p.Connect(context.Background()); err != nil {
		require.ErrorIs(t, err, relay.ErrUnavailable)
		return p
	}
	require.Equal(t, want.name, p.session.server.Load().mode.name)
	return p
}

func readStored(t *testing.T, c *redis.Client, stream string) []publishertest.Stored {
	t.Helper()
	entries, err := c.XRange(t.Context(), stream, "-", "+").Result()
	require.NoError(t, err)
	stored := make([]publishertest.Stored, 0, len(entries))
	for _, entry := range entries {
		stored = append(stored, asStored(t, entry))
	}
	return stored
}

func asStored(t *testing.T, entry redis.XMessage) publishertest.Stored {
	t.Helper()
	value := func(field string) string { return entry.Values[field].(string) }
	require.Len(t, entry.Values, fields)
	stored := publishertest.Stored{
		EventID: value("event_id"), Subject: value("subject"), Key: value("key"), CreatedAt: value("created_at"),
		Seq: value("seq"), Payload: []byte(value("payload")),
	}
	require.NoError(t, json.Unmarshal([]byte(value("headers")), &stored.Headers))
	return stored
}

package jetstream

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	jsapi "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/publishers/publishertest"
	"github.com/gameoutbox/relay/relay"
)

func TestConformanceOfFastIngest(t *testing.T) {
	conformance(t, func(_ *testing.T, _ *testServer, cfg Config) Config { return cfg })
}

func TestConformanceOfKeyedAsync(t *testing.T) {
	conformance(t, func(t *testing.T, s *testServer, cfg Config) Config { return keyedOnly(t, s, cfg) })
}

// conformance runs the suite. The in-process servers are cheap, so that every case has one of its own.
func conformance(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
	open := func(t *testing.T) publishertest.Place {
		s := startServer(t, "max_payload: 1114112")
		cfg := prepare(t, s, configFor(t, s.url()))
		js := s.admin()
		return publishertest.Place{
			Subject: cfg.Subjects[0][:len(cfg.Subjects[0])-2],
			New:     func(t *testing.T) relay.Publisher { return openPublisher(t, cfg) },
			Read:    func(t *testing.T) []publishertest.Stored { return readStored(t, js, cfg.StreamName) },
			Stop:    func(*testing.T) { s.stop() },
			Start:   func(*testing.T) { s.start() },
		}
	}
	publishertest.Run(t, publishertest.Harness{Open: open, OpenOwn: open, MaxPayload: 1 << 20, TooLarge: 1114112, ReadsBack: true})
}

// openPublisher starts as the relay does: an outage at the start is no reason to give up.
func openPublisher(t *testing.T, cfg Config) relay.Publisher {
	p, err := New(cfg, zap.NewNop())
	require.NoError(t, err)
	if err := p.Connect(context.Background()); err != nil {
		require.ErrorIs(t, err, relay.ErrUnavailable)
	}
	return p
}

func readStored(t *testing.T, js jsapi.JetStream, stream string) []publishertest.Stored {
	t.Helper()
	if _, err := js.Stream(t.Context(), stream); err != nil {
		require.ErrorIs(t, err, jsapi.ErrStreamNotFound)
		return nil
	}
	var stored []publishertest.Stored
	for _, msg := range readStream(t, js, stream) {
		stored = append(stored, asStored(msg))
	}
	return stored
}

func asStored(msg jsapi.Msg) publishertest.Stored {
	stored := publishertest.Stored{Subject: msg.Subject(), Payload: msg.Data(), Headers: map[string]string{}}
	for name, values := range msg.Headers() {
		switch name {
		case "Nats-Msg-Id":
			stored.EventID = values[0]
		case "Outbox-Key":
			stored.Key = values[0]
		case "Outbox-Created-At":
			stored.CreatedAt = values[0]
		case "Outbox-Seq":
			stored.Seq = values[0]
		default:
			stored.Headers[name] = values[0]
		}
	}
	return stored
}

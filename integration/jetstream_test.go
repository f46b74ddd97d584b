package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/publishers/publishertest"
	"github.com/gameoutbox/relay/relay"
)

// roomyNATS is the server's configuration that lets events of 1 MiB in, with their headers.
const roomyNATS = "max_payload: 1114112"

// TestJetStreamConformance runs the suite of all publishers over a server that knows fast ingest, and over one that does not, so
// that events go by keyed async. The cases share a server, except those that kill it.
func TestJetStreamConformance(t *testing.T) {
	for version, mode := range map[string]string{"2.15": "fast ingest", "2.10": "keyed async"} {
		t.Run(version, func(t *testing.T) {
			start := func(t *testing.T) *harness.Server {
				return harness.StartNATS(t, harness.NATSOptions{Version: version, Config: roomyNATS})
			}
			common := start(t)
			expectMode(t, common.URL, mode)
			publishertest.Run(t, publishertest.Harness{
				Open: func(t *testing.T) publishertest.Place { return jetstreamPlace(t, common.URL) },
				OpenOwn: func(t *testing.T) publishertest.Place {
					own := start(t)
					place := jetstreamPlace(t, own.URL)
					place.Stop = func(*testing.T) { own.Kill() }
					place.Start = func(*testing.T) { own.Start() }
					return place
				},
				MaxPayload: 1 << 20,
				TooLarge:   1114112,
				ReadsBack:  true,
			})
		})
	}
}

// jetstreamPlace is a stream of the case's own.
func jetstreamPlace(t *testing.T, url string) publishertest.Place {
	cfg := jetstreamConfig(t, url)
	js := connectJetStream(t, url)
	return publishertest.Place{
		Subject: strings.TrimSuffix(cfg.Subjects[0], ".>"),
		New:     func(t *testing.T) relay.Publisher { return openJetStream(t, cfg, zap.NewNop()) },
		Read:    func(t *testing.T) []publishertest.Stored { return readJetStream(t, js, cfg.StreamName) },
	}
}

// jetstreamConfig returns settings with a stream and subjects of the test's own.
func jetstreamConfig(t *testing.T, url string) jetstream.Config {
	cfg := jetstream.DefaultConfig()
	cfg.NATSURL = url
	cfg.StreamName = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	cfg.Subjects = []string{"game." + cfg.StreamName + ".>"}
	return cfg
}

// openJetStream starts as the relay does: an outage at the start is no reason to give up.
func openJetStream(t *testing.T, cfg jetstream.Config, log *zap.Logger) *jetstream.Publisher {
	t.Helper()
	p, err := jetstream.New(cfg, log)
	require.NoError(t, err)
	if err := p.Connect(context.Background()); err != nil {
		require.ErrorIs(t, err, relay.ErrUnavailable)
	}
	return p
}

// expectMode checks how the publisher chose to send, by what it logs.
func expectMode(t *testing.T, url, mode string) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	p := openJetStream(t, jetstreamConfig(t, url), zap.New(core))
	require.NoError(t, p.Close(t.Context()))
	ready := logs.FilterMessage("NATS JetStream connected successfully").All()
	require.Len(t, ready, 1)
	require.Equal(t, mode, ready[0].ContextMap()["mode"])
}

// connectJetStream is a client that has nothing to do with the publisher.
func connectJetStream(t *testing.T, url string) natsjs.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	return js
}

// readJetStream reads a stream as an ordinary consumer does.
func readJetStream(t *testing.T, js natsjs.JetStream, name string) []publishertest.Stored {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var stream natsjs.Stream
	require.Eventually(t, func() (found bool) {
		var err error
		stream, err = js.Stream(ctx, name)
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	consumer, err := stream.OrderedConsumer(ctx, natsjs.OrderedConsumerConfig{})
	require.NoError(t, err)
	stored := make([]publishertest.Stored, 0, stream.CachedInfo().State.Msgs)
	for left := cap(stored); left > 0; left = cap(stored) - len(stored) {
		require.NoError(t, ctx.Err())
		batch, err := consumer.Fetch(min(left, 500), natsjs.FetchMaxWait(time.Minute))
		require.NoError(t, err)
		for msg := range batch.Messages() {
			stored = append(stored, jetstreamStored(msg))
		}
		require.NoError(t, batch.Error())
	}
	return stored
}

func jetstreamStored(msg natsjs.Msg) publishertest.Stored {
	stored := publishertest.Stored{Subject: msg.Subject(), Payload: msg.Data(), Headers: map[string]string{}}
	fields := map[string]*string{
		"Nats-Msg-Id": &stored.EventID, "Outbox-Key": &stored.Key, "Outbox-Created-At": &stored.CreatedAt, "Outbox-Seq": &stored.Seq,
	}
	for name, values := range msg.Headers() {
		if field, ok := fields[name]; ok {
			*field = values[0]
		} else {
			stored.Headers[name] = values[0]
		}
	}
	return stored
}

// TestJetStreamFrozenServer checks that a server which is alive and answers nothing holds nobody.
func TestJetStreamFrozenServer(t *testing.T) {
	t.Parallel()
	server := harness.StartNATS(t, harness.NATSOptions{})
	cfg := jetstreamConfig(t, server.URL)
	cfg.PublishTimeout, cfg.ConnectTimeout = 2*time.Second, 2*time.Second
	p := openJetStream(t, cfg, zap.NewNop())
	events := make([]relay.Event, 100)
	for i := range events {
		events[i] = relay.Event{ID: int64(i), EventID: outbox.ID{byte(i)}, Subject: strings.TrimSuffix(cfg.Subjects[0], ">") + "x"}
	}
	outcomes, err := p.Publish(t.Context(), events[:50])
	require.NoError(t, err)
	require.True(t, outcomes[49].Stored)

	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = p.Publish(ctx, events)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = p.Publish(t.Context(), events)
	require.ErrorIs(t, err, relay.ErrUnavailable)
	require.Less(t, time.Since(began), 15*time.Second)

	server.Unpause()
	require.Eventually(t, func() bool {
		outcomes, err := p.Publish(t.Context(), events)
		return err == nil && outcomes[0].Stored && outcomes[99].Stored
	}, time.Minute, 20*time.Millisecond)
	require.Len(t, readJetStream(t, connectJetStream(t, server.URL), cfg.StreamName), 100)
	require.NoError(t, p.Close(t.Context()))
}

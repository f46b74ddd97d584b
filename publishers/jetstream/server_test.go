package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/relay"
)

const patience = 30 * time.Second

// testServer is a real nats-server inside the test process. It can be stopped and started on the same port and store.
type testServer struct {
	t       testing.TB
	options server.Options
	running *server.Server
}

// ports are those of the servers of this process, whether they run or are stopped.
var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: make(map[int]bool)}

// freePort returns a port that a server can come back to after a stop: until the test ends nobody else gets it from here, and it lies below
// those that the system gives out by itself and those of the containers of other packages' tests.
func freePort(t testing.TB) int {
	t.Helper()
	const low, high, tries = 10_000, 20_000, 1000
	ports.Lock()
	defer ports.Unlock()
	for range tries {
		port := low + rand.IntN(high-low)
		if ports.given[port] {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		require.NoError(t, listener.Close())
		ports.given[port] = true
		t.Cleanup(func() {
			ports.Lock()
			defer ports.Unlock()
			delete(ports.given, port)
		})
		return port
	}
	require.Fail(t, "no free port on 127.0.0.1", "between %d and %d in %d tries", low, high, tries)
	return 0
}

// startServer starts a server. config is text of a nats-server configuration file, without port and store.
func startServer(t testing.TB, config string) *testServer {
	t.Helper()
	return startDomain(t, "", config)
}

// startDomain starts a server whose JetStream is a domain of its own; empty for none.
func startDomain(t testing.TB, domain, config string) *testServer {
	t.Helper()
	s := &testServer{t: t}
	file := t.TempDir() + "/nats.conf"
	text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\njetstream { store_dir: %q }\n%s\n", freePort(t), t.TempDir(), config)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	options, err := server.ProcessConfigFile(file)
	require.NoError(t, err)
	s.options = *options
	s.options.NoSigs, s.options.NoLog, s.options.JetStreamDomain = true, true, domain
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *testServer) start() {
	s.t.Helper()
	options := s.options
	running, err := server.NewServer(&options)
	require.NoError(s.t, err)
	running.Start()
	require.True(s.t, running.ReadyForConnections(patience), "no server listens on port %d", s.options.Port)
	s.running = running
}

func (s *testServer) stop() {
	s.running.Shutdown()
	s.running.WaitForShutdown()
}

func (s *testServer) url() string { return s.running.ClientURL() }

// admin is a connection that does not use the publisher. options are those that the server's configuration asks for.
func (s *testServer) admin(options ...nats.Option) jsapi.JetStream {
	s.t.Helper()
	nc, err := nats.Connect(s.url(), append(options, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))...)
	require.NoError(s.t, err)
	s.t.Cleanup(nc.Close)
	js, err := jsapi.New(nc)
	require.NoError(s.t, err)
	return js
}

// shared is a server for tests that leave it as it is.
func shared(t testing.TB) *testServer {
	t.Helper()
	sharedOnce.Do(func() {
		sharedServer = &testServer{t: t}
		dir, err := os.MkdirTemp("", "jetstream-test")
		require.NoError(t, err)
		sharedDir = dir
		sharedServer.options = server.Options{
			Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true, MaxPayload: 2 << 20,
		}
		sharedServer.start()
	})
	return &testServer{t: t, options: sharedServer.options, running: sharedServer.running}
}

var (
	sharedOnce   sync.Once
	sharedServer *testServer
	sharedDir    string
)

func TestMain(m *testing.M) {
	code := m.Run()
	if sharedServer != nil {
		sharedServer.stop()
		_ = os.RemoveAll(sharedDir)
	}
	os.Exit(code)
}

// configFor returns settings with a stream and subjects that belong to the test alone.
func configFor(t testing.TB, url string) Config {
	cfg := DefaultConfig()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	name += "-" + nuid.Next() // a test that is run twice has two streams
	cfg.NATSURL, cfg.StreamName, cfg.Subjects = url, name, []string{"game." + name + ".>"}
	cfg.ConnectTimeout, cfg.PublishTimeout = 2*time.Second, 2*time.Second
	return cfg
}

// newPublisher returns a publisher and its log. It is closed when the test ends.
func newPublisher(t testing.TB, cfg Config) (*Publisher, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	p, err := New(cfg, zap.New(core))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.Close(ctx))
	})
	return p, logs
}

func connect(t testing.TB, cfg Config) (*Publisher, *observer.ObservedLogs) {
	t.Helper()
	p, logs := newPublisher(t, cfg)
	require.NoError(t, p.Connect(t.Context()))
	return p, logs
}

// keyedOnly returns settings for a stream that takes no batches, so that events go singly.
func keyedOnly(t testing.TB, s *testServer, cfg Config) Config {
	t.Helper()
	stream := cfg.stream(false)
	_, err := s.admin().CreateStream(t.Context(), stream)
	require.NoError(t, err)
	return cfg
}

// modes runs a test for both ways to send.
func modes(t *testing.T, test func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config)) {
	t.Run("fast", func(t *testing.T) {
		t.Parallel()
		test(t, func(_ *testing.T, _ *testServer, cfg Config) Config { return cfg })
	})
	t.Run("keyed", func(t *testing.T) {
		t.Parallel()
		test(t, func(t *testing.T, s *testServer, cfg Config) Config { return keyedOnly(t, s, cfg) })
	})
}

// testEvents returns n events below the first subject of the settings, with the given number of keys.
func testEvents(cfg Config, n, keys int) []relay.Event {
	events := make([]relay.Event, n)
	for i := range events {
		testEventSeq.Lock()
		testEventSeq.n++
		id := testEventSeq.n
		testEventSeq.Unlock()
		events[i] = relay.Event{
			ID: id, Subject: strings.TrimSuffix(cfg.Subjects[0], ">") + "level_up", CreatedAt: time.Unix(1_770_000_000, 123_000).UTC(),
			Payload: fmt.Appendf(nil, `{"n":%d}`, id),
		}
		copy(events[i].EventID[:], fmt.Sprintf("%016d", id))
		if keys > 0 {
			events[i].Key = fmt.Sprintf("player-%d", i%keys)
		}
	}
	return events
}

var testEventSeq struct {
	sync.Mutex
	n int64
}

// storedIDs returns the Outbox-Seq of every message of a stream, in order.
func storedIDs(t testing.TB, js jsapi.JetStream, stream string) []int64 {
	t.Helper()
	var ids []int64
	for _, msg := range readStream(t, js, stream) {
		var id int64
		_, err := fmt.Sscan(msg.Headers().Get(headerSeq), &id)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

func ids(events []relay.Event) []int64 {
	ids := make([]int64, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	return ids
}

// readStream returns every message of a stream, as an ordinary consumer sees them.
func readStream(t testing.TB, js jsapi.JetStream, stream string) []jsapi.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	var s jsapi.Stream
	var consumer jsapi.Consumer
	require.Eventually(t, func() bool { // a stream that has just got a new leader may not answer yet
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		var err error
		if s, err = js.Stream(once, stream); err == nil {
			consumer, err = s.OrderedConsumer(once, jsapi.OrderedConsumerConfig{})
		}
		return err == nil
	}, 2*patience, 20*time.Millisecond)
	left := s.CachedInfo().State.Msgs
	var msgs []jsapi.Msg
	for left > 0 {
		batch, err := consumer.Fetch(int(min(left, 500)), jsapi.FetchMaxWait(patience))
		require.NoError(t, err)
		for msg := range batch.Messages() {
			msgs = append(msgs, msg)
			left--
		}
		if err := batch.Error(); !errors.Is(err, nats.ErrNoResponders) { // an ordered consumer begins anew where it was
			require.NoError(t, err)
		}
		require.NoError(t, ctx.Err())
	}
	return msgs
}

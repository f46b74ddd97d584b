package redisstream

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

const (
	readyAgain = "Redis Stream is ready again"
	notReady   = "Redis Stream is not ready; nothing is lost, events wait"
)

func throughProxy(t *testing.T) (Config, *harness.Proxy) {
	t.Helper()
	proxy := harness.StartProxy(t, harness.Redis(t))
	cfg := configFor(t, proxy.URL)
	cfg.ConnectTimeout, cfg.PublishTimeout, cfg.WaitTimeout = 400*time.Millisecond, 400*time.Millisecond, 10*time.Millisecond
	return cfg, proxy
}

// A network that swallows packets: the events may be stored or not, so nothing is claimed, and they are sent again with the same ids.
func TestSilence(t *testing.T) {
	t.Parallel()
	cfg, proxy := throughProxy(t)
	p, logs := connect(t, cfg)
	events := testEvents(3000, 7)
	publish(t, p, events[:10])
	proxy.Blackhole()
	for range 2 {
		outcomes, err := p.Publish(t.Context(), events[10:])
		require.Equal(t, "unavailable", kind(err), "%v", err)
		require.Equal(t, make([]relay.Outcome, len(events)-10), outcomes)
	}
	require.Equal(t, "unavailable", kind(p.Connect(t.Context())))
	proxy.Restore() // and what was sent into the silence arrives
	deliver(t, p, events)
	require.Equal(t, ids(events), storedIDs(t, admin(t, cfg), cfg.Stream))
	require.Eventually(t, func() bool { return len(logged(logs, readyAgain)) == 1 }, patience, tick)
}

// The server answers, but not in time: it is not away, so the call says that the outcome is not known.
func TestAnswerThatComesTooLate(t *testing.T) {
	t.Parallel()
	s := start(t, "8.0", "--enable-debug-command", "yes")
	cfg := configFor(t, s.URL)
	cfg.PublishTimeout, cfg.WaitTimeout = 200*time.Millisecond, 10*time.Millisecond
	p, _ := connect(t, cfg)
	c := admin(t, cfg)
	events := testEvents(10, 1)
	publish(t, p, events[:1])
	slept := make(chan error, 1)
	go func() { slept <- c.Do(context.Background(), "DEBUG", "SLEEP", "1").Err() }()
	var late error
	require.Eventually(t, func() bool {
		var outcomes []relay.Outcome
		outcomes, late = p.Publish(context.Background(), events)
		return late != nil && !outcomes[1].Stored
	}, patience, time.Millisecond)
	require.Equal(t, "retry", kind(late), "%v", late)
	require.ErrorIs(t, late, errSilent)
	require.NoError(t, <-slept)
	deliver(t, p, events)
	require.Equal(t, ids(events), storedIDs(t, c, cfg.Stream))
}

// Connections that break in the middle of a batch, each at another moment.
func TestConnectionsThatBreak(t *testing.T) {
	t.Parallel()
	cfg, proxy := throughProxy(t)
	p, _ := connect(t, cfg)
	var all []relay.Event
	for i := range 30 {
		events := testEvents(1500, 7)
		cut := time.AfterFunc(time.Duration(i)*time.Millisecond, func() {
			proxy.Cut()
			proxy.Restore()
		})
		_, _ = p.Publish(t.Context(), events)
		cut.Stop()
		deliver(t, p, events)
		all = append(all, events...)
	}
	require.Equal(t, ids(all), storedIDs(t, admin(t, cfg), cfg.Stream))
}

// The end of the context and Close do not wait for a server that says nothing.
func TestNothingWaitsForASilentServer(t *testing.T) {
	t.Parallel()
	cfg, proxy := throughProxy(t)
	cfg.ConnectTimeout, cfg.PublishTimeout = time.Minute, time.Minute
	began := time.Now()
	p, _ := connect(t, cfg)
	publish(t, p, testEvents(1, 1))
	proxy.Blackhole()
	large := testEvents(40, 1)
	for i := range large {
		large[i].Payload = make([]byte, 1<<20)
	}
	for _, events := range [][]relay.Event{testEvents(10, 1), large} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		outcomes, err := p.Publish(ctx, events)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, make([]relay.Outcome, len(events)), outcomes)

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err = p.Publish(ctx, events)
		require.ErrorIs(t, err, context.Canceled)
	}
	connected := make(chan error, 1)
	go func() { connected <- p.Connect(context.Background()) }()
	<-time.After(tick)
	require.NoError(t, p.Close(t.Context()))
	require.Equal(t, "unavailable", kind(<-connected))
	require.Less(t, time.Since(began), patience)
}

// Something that accepts connections and says nothing is no server.
func TestConnectIsBounded(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	cfg := configFor(t, "redis://"+listener.Addr().String())
	cfg.ConnectTimeout = 300 * time.Millisecond
	for _, encrypted := range []bool{false, true} {
		cfg.TLS.Enabled = encrypted
		p, _ := newPublisher(t, cfg)
		began := time.Now()
		err := p.Connect(t.Context())
		require.Equal(t, "unavailable", kind(err), "%v", err)
		require.Contains(t, err.Error(), "is the server up, and is redis.host right?")
		require.Less(t, time.Since(began), 5*time.Second)
	}
}

// A relay without events says once that the server went away, and once that it is back.
func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "8.0")
	cfg := configFor(t, s.URL)
	p, logs := connect(t, cfg)
	s.Stop()
	for range 3 {
		require.Equal(t, "unavailable", kind(p.Connect(t.Context())))
	}
	s.Start()
	require.Eventually(t, func() bool { return len(logged(logs, readyAgain)) == 1 }, patience, tick)
	troubles := logged(logs, notReady)
	require.NotEmpty(t, troubles)
	for i := 1; i < len(troubles); i++ {
		require.NotEqual(t, troubles[i-1].ContextMap()["error"], troubles[i].ContextMap()["error"])
	}
	require.Len(t, logged(logs, "Redis Stream connected successfully"), 1)
	publish(t, p, testEvents(3, 1))
	connected := logged(logs, "Redis Stream connected successfully")[0].ContextMap()
	require.Equal(t, cfg.Stream, connected["stream"])
	require.Equal(t, "script", connected["mode"])
	require.True(t, strings.HasPrefix(connected["version"].(string), "redis 8.0"), connected["version"])
}

// Connect and Publish may be called at the same time.
func TestConnectDuringPublish(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	p, _ := connect(t, cfg)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 50 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			_ = p.Connect(ctx)
			cancel()
		}
	}()
	for range 20 {
		publish(t, p, testEvents(500, 7))
	}
	<-over
}

package redisstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

const patience = time.Minute

func TestMain(m *testing.M) { harness.Main(m) }

// configFor returns settings for the server at a URL, with a stream that belongs to the test alone.
func configFor(t testing.TB, address string) Config {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	cfg := DefaultConfig()
	cfg.Host = u.Hostname()
	cfg.Port, err = strconv.Atoi(u.Port())
	require.NoError(t, err)
	cfg.Stream = fmt.Sprintf("game:%s:%d", t.Name(), numbers.Add(1))
	cfg.ConnectTimeout, cfg.PublishTimeout = 15*time.Second, 5*time.Second // a busy machine is no outage
	return cfg
}

// numbers make names unique and events distinct.
var numbers atomic.Int64

// newPublisher returns a publisher and its log. It is closed when the test ends.
func newPublisher(t testing.TB, cfg Config) (*Publisher, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	p, err := New(cfg, zap.New(core))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p, logs
}

func connect(t testing.TB, cfg Config) (*Publisher, *observer.ObservedLogs) {
	t.Helper()
	p, logs := newPublisher(t, cfg)
	require.NoError(t, p.Connect(t.Context()))
	return p, logs
}

// admin is a connection that does not use the publisher.
func admin(t testing.TB, cfg Config) *redis.Client {
	t.Helper()
	quiet()
	c := redis.NewClient(&redis.Options{Addr: cfg.addresses()[0], Username: cfg.Username, Password: cfg.Password, DB: cfg.DB, MaxRetries: -1,
		ReadTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// testEvents returns n events with the given number of keys, 0 for none.
func testEvents(n, keys int) []relay.Event {
	events := make([]relay.Event, n)
	for i := range events {
		id := numbers.Add(1)
		events[i] = relay.Event{
			ID: id, Subject: "game.player.level_up", CreatedAt: time.Unix(1_770_000_000, 123_000).UTC(),
			Payload: fmt.Appendf(nil, `{"n":%d}`, id),
		}
		freshID(&events[i])
		if keys > 0 {
			events[i].Key = fmt.Sprintf("player-%d", i%keys)
		}
	}
	return events
}

// freshID makes a new event of the same one. The first byte varies, for a server with IDMP shares out the ids by it.
func freshID(e *relay.Event) {
	n := numbers.Add(1)
	e.EventID[0] = byte(n)
	copy(e.EventID[1:], fmt.Sprintf("%015d", n))
}

// publish publishes events in one call that stores them all.
func publish(t testing.TB, p *Publisher, events []relay.Event) []relay.Outcome {
	t.Helper()
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	for i, outcome := range outcomes {
		require.NoError(t, outcome.Err, "event %d", i)
		require.True(t, outcome.Stored, "event %d", i)
	}
	return outcomes
}

// storedIDs returns the seq of every event of a stream, in order.
func storedIDs(t testing.TB, c redis.Cmdable, stream string) []int64 {
	t.Helper()
	entries, err := c.XRange(context.Background(), stream, "-", "+").Result()
	require.NoError(t, err)
	var ids []int64
	for _, entry := range entries {
		seq, ours := entry.Values["seq"].(string)
		if !ours {
			continue
		}
		id, err := strconv.ParseInt(seq, 10, 64)
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

// kind names what the relay does about an error.
func kind(err error) string {
	var permanent *relay.PermanentError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &permanent):
		return "permanent " + string(permanent.Reason)
	case errors.Is(err, relay.ErrRewound):
		return "rewound"
	case errors.As(err, new(*relay.ThrottledError)):
		return "throttled"
	case errors.Is(err, relay.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, relay.ErrMisconfigured):
		return "misconfigured"
	}
	return "retry"
}

// requireRefused checks that neither Connect nor Publish works, and that the error says what to do and shows no secret.
func requireRefused(t *testing.T, cfg Config, want string, words ...string) {
	t.Helper()
	p, logs := newPublisher(t, cfg)
	errs := []error{p.Connect(t.Context())}
	_, err := p.Publish(t.Context(), testEvents(3, 1))
	for _, err := range append(errs, err) {
		require.Equal(t, want, kind(err), "%v", err)
		for _, word := range words {
			require.Contains(t, err.Error(), word)
		}
		require.NotContains(t, err.Error(), "hunter")
	}
	for _, entry := range logs.All() {
		require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), "hunter")
	}
}

// requireWorks connects and publishes.
func requireWorks(t *testing.T, cfg Config) {
	t.Helper()
	p, _ := connect(t, cfg)
	publish(t, p, testEvents(3, 1))
}

// logged returns the entries of this message.
func logged(logs *observer.ObservedLogs, message string) []observer.LoggedEntry {
	return logs.FilterMessage(message).All()
}

// versions runs a test on a server without IDMP and on one with it. Each test has its own server.
func versions(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range []string{"8.0", "8.6"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

func start(t testing.TB, version string, args ...string) *harness.Server {
	t.Helper()
	return harness.StartRedis(t, harness.RedisOptions{Version: version, Args: args})
}

func withoutScheme(address string) string { return strings.TrimPrefix(address, "redis://") }

// tick is how often a test looks whether something has happened.
const tick = 20 * time.Millisecond

func contains(text string, words ...string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// deliver publishes events as the relay does: again, in order, until all are stored.
func deliver(t testing.TB, p *Publisher, events []relay.Event) {
	t.Helper()
	require.NoError(t, tryDeliver(t.Context(), p, events))
}

// tryDeliver is deliver for a goroutine of its own.
func tryDeliver(ctx context.Context, p *Publisher, events []relay.Event) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	for len(events) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		outcomes, _ := p.Publish(ctx, events)
		var left []relay.Event
		for i, outcome := range outcomes {
			if !outcome.Stored {
				left = append(left, events[i])
			}
		}
		if len(left) == len(events) {
			<-time.After(tick)
		}
		events = left
	}
	return nil
}

// addOf is an entry that is no event.
func addOf(stream string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: stream, Values: []string{"a", "1"}}
}

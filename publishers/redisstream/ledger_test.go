package redisstream

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// accept inspects the stream and accepts what is found.
func accept(t *testing.T, p *Publisher) relay.StreamState {
	t.Helper()
	var state relay.StreamState
	require.Eventually(t, func() (ok bool) {
		var err error
		state, err = p.Inspect(context.Background())
		return err == nil
	}, patience, tick)
	p.Accept(state)
	return state
}

// requireRewound publishes until the server answers, and checks that it gets nothing.
func requireRewound(t *testing.T, p *Publisher, events []relay.Event, words ...string) {
	t.Helper()
	var outcomes []relay.Outcome
	var err error
	require.Eventually(t, func() bool {
		outcomes, err = p.Publish(context.Background(), events)
		return kind(err) != "unavailable"
	}, patience, tick)
	require.ErrorIs(t, err, relay.ErrRewound)
	require.True(t, contains(err.Error(), words...), err)
	require.Equal(t, make([]relay.Outcome, len(events)), outcomes)
}

// loss is a way in which a stream loses all that it held, or what was stored after its copy was made.
type loss struct {
	all  bool
	lose func(t *testing.T, s *harness.Server, c *redis.Client, cfg Config, copied string)
}

var losses = map[string]loss{
	"DEL": {true, func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config, _ string) {
		require.NoError(t, c.Del(t.Context(), cfg.Stream).Err())
	}},
	"FLUSHDB": {true, func(t *testing.T, _ *harness.Server, c *redis.Client, _ Config, _ string) {
		require.NoError(t, c.FlushDB(t.Context()).Err())
	}},
	"DEL, and a consumer makes it anew": {true, func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config, _ string) {
		require.NoError(t, c.Del(t.Context(), cfg.Stream).Err())
		require.NoError(t, c.XGroupCreateMkStream(t.Context(), cfg.Stream, "game", "$").Err())
	}},
	"DEL, and somebody adds to it": {true, func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config, _ string) {
		require.NoError(t, c.Del(t.Context(), cfg.Stream).Err())
		require.NoError(t, c.XAdd(t.Context(), addOf(cfg.Stream)).Err())
	}},
	"a restart without its files": {true, func(_ *testing.T, s *harness.Server, _ *redis.Client, _ Config, _ string) {
		s.Exec("redis-cli", "CONFIG", "SET", "appendonly", "no")
		s.Exec("sh", "-c", "rm -rf /data/*")
		s.Kill()
		s.Start()
	}},
	"a restored copy": {false, func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config, copied string) {
		require.NoError(t, c.RestoreReplace(t.Context(), cfg.Stream, 0, copied).Err())
	}},
	"a renamed copy": {false, func(t *testing.T, _ *harness.Server, c *redis.Client, cfg Config, copied string) {
		other := "{" + cfg.Stream + "}:copy"
		require.NoError(t, c.Restore(t.Context(), other, 0, copied).Err())
		require.NoError(t, c.Rename(t.Context(), other, cfg.Stream).Err())
	}},
}

// A stream that lost what it had acknowledged gets nothing until the relay has dealt with that; then it takes everything that it lost
// again, and recognises what it still has.
func TestAStreamThatLostEventsGetsNothing(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		for name, loss := range losses {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t, version)
				cfg := configFor(t, s.URL)
				c := admin(t, cfg)
				p, _ := connect(t, cfg)
				before := accept(t, p)
				require.NotEmpty(t, before.Incarnation)
				kept, lost, later := testEvents(100, 7), testEvents(5*partEvents, 7), testEvents(100, 7)
				publish(t, p, kept)
				copied, err := c.Dump(t.Context(), cfg.Stream).Result()
				require.NoError(t, err)
				publish(t, p, lost)
				full, err := p.Inspect(t.Context())
				require.NoError(t, err)
				require.True(t, full.Continues(before))

				loss.lose(t, s, c, cfg, copied)
				requireRewound(t, p, later, cfg.Stream)
				requireRewound(t, p, later, cfg.Stream)
				after := accept(t, p)
				require.False(t, after.Continues(full))
				require.Equal(t, !loss.all, after.Incarnation == full.Incarnation)
				again := append(append([]relay.Event{}, lost...), later...)
				if loss.all {
					again = append(append([]relay.Event{}, kept...), again...)
				}
				deliver(t, p, again)
				require.Equal(t, append(ids(kept), append(ids(lost), ids(later)...)...), storedIDs(t, c, cfg.Stream))
				for _, outcome := range publish(t, p, again) {
					require.True(t, outcome.Duplicate)
				}
			})
		}
	})
}

// What goes on is no loss: restarts, entries of others, the end of the consumers' work, another publisher.
func TestWhatIsNoLoss(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		state := accept(t, p)
		requireGoesOn := func(what string) {
			t.Helper()
			deliver(t, p, testEvents(600, 7))
			next, err := p.Inspect(t.Context())
			require.NoError(t, err)
			require.True(t, next.Continues(state), what)
			require.Greater(t, next.Last, state.Last, what)
			state = next
		}
		requireGoesOn("nothing happened")
		require.EqualValues(t, 1, state.First)
		require.Empty(t, state.Expires)
		s.Restart()
		requireGoesOn("restart")
		s.Kill()
		s.Start()
		requireGoesOn("kill")
		require.NoError(t, c.BgRewriteAOF(t.Context()).Err())
		requireGoesOn("rewritten files")
		other, _ := connect(t, cfg)
		publish(t, other, testEvents(10, 3))
		requireGoesOn("another publisher")
		require.NoError(t, c.XAdd(t.Context(), addOf(cfg.Stream)).Err())
		requireGoesOn("an entry of somebody else")
		require.EqualValues(t, 1, state.First)
		require.NoError(t, c.XTrimMaxLen(t.Context(), cfg.Stream, 10).Err())
		requireGoesOn("trimmed")
		require.Greater(t, state.First, uint64(1))
		require.Contains(t, state.Expires, "XDEL or XTRIM")
		require.NoError(t, c.XTrimMaxLen(t.Context(), cfg.Stream, 0).Err())
		empty, err := p.Inspect(t.Context())
		require.NoError(t, err)
		require.Equal(t, state.Last, empty.Last)
		require.Equal(t, state.Last+1, empty.First)
		requireGoesOn("emptied")
	})
}

// The mark hinders nobody: it has no lag, and what consumers have read can be removed.
func TestTheMarkHindersNobody(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		publish(t, p, testEvents(10, 3))
		groups, err := c.XInfoGroups(t.Context(), cfg.Stream).Result()
		require.NoError(t, err)
		require.Len(t, groups, 1)
		require.True(t, strings.HasPrefix(groups[0].Name, "outbox-relay:"))
		require.LessOrEqual(t, groups[0].Lag, int64(0))
		if version == "8.0" {
			return // it knows no ACKED
		}
		require.NoError(t, c.XGroupCreate(t.Context(), cfg.Stream, "game", "0").Err())
		read, err := c.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "game", Consumer: "a", Streams: []string{cfg.Stream, ">"}}).Result()
		require.NoError(t, err)
		for _, entry := range read[0].Messages {
			require.NoError(t, c.XAck(t.Context(), cfg.Stream, "game", entry.ID).Err())
		}
		require.EqualValues(t, 10, c.Do(t.Context(), "XTRIM", cfg.Stream, "MAXLEN", "0", "ACKED").Val())
	})
}

// A replica that is promoted without the last events ends before them.
func TestAReplicaWithoutTheTailIsPromoted(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		pair := startPair(t, version)
		kept, lost := testEvents(700, 7), testEvents(3*partEvents, 7)
		p, _ := connect(t, pair.cfg)
		accept(t, p)
		publish(t, p, kept)
		pair.awaitEntries(t, len(kept))
		require.NoError(t, pair.b.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
		publish(t, p, lost)
		full := accept(t, p)

		other := pair.cfg
		other.Port = configFor(t, pair.replica.URL).Port
		q, _ := connect(t, other)
		state, err := q.Inspect(t.Context())
		require.NoError(t, err)
		require.Equal(t, full.Incarnation, state.Incarnation)
		require.False(t, state.Continues(full))
		q.Accept(full)
		requireRewound(t, q, lost, "ends at", "and was at")
		q.Accept(state)
		publish(t, q, lost)
		require.Equal(t, append(ids(kept), ids(lost)...), storedIDs(t, pair.b, other.Stream))
	})
}

// Somebody removes the stream while batches go out: each of them is stored as a whole or, from some part on, not at all.
func TestAStreamIsRemovedWhilePublishing(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		cfg := configFor(t, start(t, version).URL)
		c := admin(t, cfg)
		p, _ := connect(t, cfg)
		for range 20 {
			accept(t, p)
			removed := make(chan error, 1)
			go func() {
				<-time.After(time.Duration(numbers.Add(1)%20) * time.Millisecond)
				removed <- c.Del(context.Background(), cfg.Stream).Err()
			}()
			_, _ = p.Publish(t.Context(), testEvents(8*partEvents, 7))
			require.NoError(t, <-removed)
			requireRewound(t, p, testEvents(10, 3))
		}
	})
}

// Large events are read in small pages, with and without their payloads.
func TestScanOfLargeEvents(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	p, _ := connect(t, cfg)
	events := testEvents(100, 7)
	for i := range events {
		events[i].Payload = make([]byte, 100_000)
		events[i].Headers = map[string]string{"trace": "\"é\n"}
	}
	publish(t, p, events)
	state := accept(t, p)
	require.NoError(t, admin(t, cfg).XAdd(t.Context(), addOf(cfg.Stream)).Err())
	for _, payloads := range []bool{false, true} {
		var found []relay.StoredEvent
		collect := func(event relay.StoredEvent) error { found = append(found, event); return nil }
		require.NoError(t, p.Scan(t.Context(), relay.Scan{First: state.First, Last: state.Last + 1<<40, Payloads: payloads}, collect))
		require.Len(t, found, 100)
		for i, event := range found {
			require.Equal(t, events[i].EventID, event.EventID)
			require.WithinDuration(t, time.Now(), event.StoredAt, time.Minute)
			if payloads {
				require.Equal(t, events[i].Payload, event.Payload)
				require.Equal(t, events[i].Headers, event.Headers)
			} else {
				require.Empty(t, event.Payload)
			}
		}
	}
	s, err := p.ready(t.Context(), false)
	require.NoError(t, err)
	page, next, err := s.page(t.Context(), "-", "+", true)
	require.NoError(t, err)
	require.NotEmpty(t, next)
	require.Len(t, page, 11)
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	plain, limited := DefaultConfig(), DefaultConfig()
	limited.MaxLen = 7
	aged := DefaultConfig()
	aged.MaxAge = time.Hour
	for name, c := range map[string]struct {
		cfg         Config
		words       []string
		first, last uint64
		expires     string
	}{
		"it never held anything":   {plain, []string{"m", "0-0", "", "0", "0"}, 1, 0, ""},
		"nothing was removed":      {plain, []string{"m", "5-1", "3-0", "4", "4"}, 1, 5<<20 + 1, ""},
		"entries were removed":     {plain, []string{"m", "5-1", "3-0", "4", "9"}, 3 << 20, 5<<20 + 1, "XDEL or XTRIM"},
		"all were removed":         {plain, []string{"m", "5-1", "", "0", "9"}, 5<<20 + 2, 5<<20 + 1, "XDEL or XTRIM"},
		"the server does not tell": {plain, []string{"m", "5-1", "3-0", "4", ""}, 3 << 20, 5<<20 + 1, "before 7.0"},
		"max_len":                  {limited, []string{"m", "5-1", "3-0", "4", "9"}, 3 << 20, 5<<20 + 1, "redis.max_len is 7"},
		"max_age":                  {aged, []string{"m", "5-1", "3-0", "4", "9"}, 3 << 20, 5<<20 + 1, "redis.max_age is 1h0m0s"},
	} {
		state, err := c.cfg.stateOf(c.words)
		require.NoError(t, err, name)
		require.Equal(t, []uint64{c.first, c.last}, []uint64{state.First, state.Last}, name)
		require.Contains(t, state.Expires, c.expires, name)
		require.Equal(t, c.expires == "", state.Expires == "", name)
		require.Equal(t, c.expires == "", state.KeepsUntil > 0, name)
	}
	_, err := plain.stateOf([]string{"m", "18446744073709551615-0", "3-0", "4", "4"})
	require.Equal(t, "misconfigured", kind(err))
	for _, words := range [][]string{nil, {"m", "x", "", "0", "0"}} {
		_, err := plain.stateOf(words)
		require.ErrorIs(t, err, errReply)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for scan, want := range map[relay.Scan][2]string{
		{First: 1, Last: 5<<20 + 7}:                                       {"0-1", "5-7"},
		{First: 3<<20 + 2, Last: 5<<20 + lastNumber}:                      {"3-2", "5"},
		{First: 3 << 20, Last: 5 << 20, Since: time.UnixMilli(4)}:         {"4-0", "5-0"},
		{First: 3<<20 + 1, Last: 5 << 20, Since: time.UnixMilli(2)}:       {"3-1", "5-0"},
		{First: 1, Last: 5 << 20, Since: time.Unix(-1, 0).Add(time.Hour)}: {"3599000-0", "5-0"},
	} {
		from, to := bounds(scan)
		require.Equal(t, want, [2]string{from, to})
	}
}

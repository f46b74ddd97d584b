package redisstream

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// What a server may take away is said in the log once, and in the status for as long as it holds.
func TestWarningsOfEviction(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version, "--maxmemory", "100mb")
		cfg := configFor(t, s.URL)
		c := admin(t, cfg)
		p, logs := connect(t, cfg)
		publish(t, p, testEvents(3, 1))
		require.Empty(t, p.Warnings(), "noeviction is the default")
		for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"} {
			require.NoError(t, c.ConfigSet(t.Context(), "maxmemory-policy", policy).Err())
			require.NoError(t, p.Connect(t.Context()))
			what := "Redis may evict the stream"
			if policy[0] == 'v' {
				what = "Redis may evict the ids of events"
				if version == "8.6" { // which keeps the ids in the stream
					require.Empty(t, p.Warnings())
					continue
				}
			}
			require.Len(t, p.Warnings(), 1)
			for _, word := range []string{what, policy, cfg.Stream, "set maxmemory-policy to noeviction"} {
				require.Contains(t, p.Warnings()[0], word)
			}
			require.NoError(t, p.Connect(t.Context()))
			told := slices.DeleteFunc(logs.TakeAll(), func(entry observer.LoggedEntry) bool { return entry.Message != what })
			require.Len(t, told, 1, "once")
			require.Equal(t, zap.WarnLevel, told[0].Level)
		}
		require.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
		require.NoError(t, c.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
		require.NoError(t, p.Connect(t.Context()))
		require.Empty(t, p.Warnings(), "without a limit nothing is evicted")

		require.NoError(t, c.Expire(t.Context(), cfg.Stream, time.Hour).Err())
		require.NoError(t, p.Connect(t.Context()))
		require.Len(t, p.Warnings(), 1)
		require.Contains(t, p.Warnings()[0], "run: PERSIST "+cfg.Stream)
		require.NoError(t, c.Persist(t.Context(), cfg.Stream).Err())
		require.NoError(t, p.Connect(t.Context()))
		require.Empty(t, p.Warnings())
	})
}

// Hosted servers and proxies refuse commands that only look around. Events are stored all the same.
func TestServersThatTellLittle(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		without []string
		warns   bool
	}{
		"no COMMAND":               {[]string{"COMMAND"}, true},
		"no CONFIG":                {[]string{"CONFIG"}, true},
		"no INFO":                  {[]string{"INFO"}, true},
		"no INFO, CONFIG, COMMAND": {[]string{"INFO", "CONFIG", "COMMAND"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}
			for _, command := range tc.without {
				args = append(args, "--rename-command", command, "")
			}
			cfg := configFor(t, start(t, "8.6", args...).URL)
			p, logs := connect(t, cfg)
			events := testEvents(20, 3)
			publish(t, p, events)
			for _, outcome := range publish(t, p, events) {
				require.True(t, outcome.Duplicate, "the ids are known")
			}
			require.Len(t, storedIDs(t, admin(t, cfg), cfg.Stream), 20)
			require.Equal(t, tc.warns, len(p.Warnings()) == 1)
			if !tc.warns {
				requireQuiet(t, logs, "maxmemory-policy is unknown")
			}
		})
	}
}

// requireQuiet checks that something was logged, and only for those who look closely.
func requireQuiet(t *testing.T, logs *observer.ObservedLogs, message string) {
	t.Helper()
	found := logs.FilterMessage(message).All()
	require.NotEmpty(t, found)
	require.Equal(t, zap.DebugLevel, found[0].Level)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/relay"
)

// runningRelay answers like the admin server of a relay with this status, and returns its address.
func runningRelay(t *testing.T, s relay.Status) string {
	t.Helper()
	sources := []admin.Source{{Name: config.DefaultSource, Relay: fixedStatus(s)}}
	server := httptest.NewServer(admin.NewHandler(sources, prometheus.NewRegistry()))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

type fixedStatus relay.Status

func (s fixedStatus) Status() relay.Status { return relay.Status(s) }

func leading() relay.Status {
	return relay.Status{
		Name: "pod-7/1/x2bcde", State: relay.StateLeading, Since: time.Now().Add(-time.Hour),
		NotReady:  "the broker does not answer",
		Broker:    relay.BrokerStatus{Name: "jetstream", State: relay.BrokerUnavailable, Since: time.Now().Add(-time.Minute), Error: "refused"},
		Published: 1, Duplicates: 2, Retried: 3, DeadLetters: 4, Delayed: 5, DelayedError: "odd",
	}
}

func oneSource(s sourceView, r relayView) overview {
	return overview{Sources: []sourceView{s}, Relay: r}
}

func TestStatusTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, statusTable) // ages are printed: the clock must stand still
}

func statusTable(t *testing.T) {
	s, troubled := leading(), leading()
	troubled.HeldKeys, troubled.HeldEvents, troubled.Warnings = 1, 48, []string{"a trigger", "unlogged"}
	troubled.Loss = &relay.Loss{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Cause: "it was deleted", Healed: true, Events: 7}
	for name, tc := range map[string]struct {
		seen overview
		want string
	}{
		"relay leads": {
			oneSource(sourceView{Backlog: &relay.Backlog{Events: 250_000, Lag: 75.4, DeadLetters: 7}, Relay: &s}, relayView{URL: "http://r"}),
			`backlog       at most 250000 events
lag           1m15s
dead letters  7
relay         leading for 1h0m0s, at http://r
name          pod-7/1/x2bcde
ready         no: the broker does not answer
broker        jetstream unavailable for 1m0s: refused
published     1 event, 2 of them known to the broker already
sent again    3
now dead      4 since the relay started
delayed       5 events: odd
held          no key
`},
		"trouble": {
			oneSource(sourceView{Backlog: &relay.Backlog{Exact: true}, Relay: &troubled}, relayView{URL: "http://r"}),
			`backlog       0 events
lag           0s
dead letters  0
relay         leading for 1h0m0s, at http://r
name          pod-7/1/x2bcde
ready         no: the broker does not answer
broker        jetstream unavailable for 1m0s: refused
published     1 event, 2 of them known to the broker already
sent again    3
now dead      4 since the relay started
delayed       5 events: odd
held          1 key with 48 events, until dead letters are retried or discarded
last loss     2026-01-02T03:04:05Z: it was deleted; of the lost events 7 are retained, they are published again
warning       a trigger
warning       unlogged
`},
		"no relay": {
			oneSource(sourceView{Backlog: &relay.Backlog{Events: 1, Exact: true, Lag: 0.0123}}, relayView{URL: "http://r", Error: "refused"}),
			`backlog       1 event
lag           12ms
dead letters  0
relay         none answers at http://r (refused)
`},
		"no database": {
			oneSource(sourceView{Error: "refused"}, relayView{Error: "admin.listen is empty"}),
			"outbox  unknown: refused\nrelay   admin.listen is empty\n"},
		"another configuration": {
			oneSource(sourceView{Error: "refused"}, relayView{URL: "http://r"}),
			"outbox  unknown: refused\nrelay   the one at http://r does not serve this source; was its configuration changed since it started?\n"},
	} {
		var out bytes.Buffer
		require.NoError(t, writeTable(&out, tc.seen))
		require.Equal(t, tc.want, out.String(), name)
	}
}

func TestStatusTableTellsWhichBrokerIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, statusTableTellsWhichBrokerIsUsed) // ages are printed: the clock must stand still
}

func statusTableTellsWhichBrokerIsUsed(t *testing.T) {
	for want, state := range map[string]relay.FailoverStatus{
		"failover      primary jetstream for 1m0s\n":                                {},
		"failover      fallback redis in place of jetstream for 1m0s: it was out\n": {OnFallback: true, Reason: "it was out"},
	} {
		s := leading()
		state.Primary, state.Fallback, state.Since = "jetstream", "redis", time.Now().Add(-time.Minute)
		s.Failover = &state
		var out bytes.Buffer
		require.NoError(t, writeTable(&out, oneSource(sourceView{Backlog: &relay.Backlog{}, Relay: &s}, relayView{})))
		require.Contains(t, out.String(), want)
	}
}

func TestStatusTableOfSeveralSources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, statusTableOfSeveralSources) // ages are printed: the clock must stand still
}

func statusTableOfSeveralSources(t *testing.T) {
	well, troubled := leading(), leading()
	well.Ready, well.NotReady, well.Broker.State = true, "", relay.BrokerOK
	troubled.Warnings = []string{"a trigger"}
	seen := overview{Relay: relayView{URL: "http://r"}, Sources: []sourceView{
		{Source: "eu", Backlog: &relay.Backlog{Exact: true}, Relay: &well, Lease: &relay.Lease{
			Owner: "pod-7/1/x2bcde", Term: 3, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Held: true,
		}},
		{Source: "us-west", Backlog: &relay.Backlog{Events: 250_000, Lag: 75.4, DeadLetters: 7}, Relay: &troubled},
		{Source: "asia", Error: "no answer"},
	}}
	var out bytes.Buffer
	require.NoError(t, writeTable(&out, seen))
	require.Equal(t, `SOURCE   RELAY    READY  BACKLOG         LAG    DEAD LETTERS  PUBLISHED  BROKER                 LEADER          TERM  SINCE
eu       leading  yes    0               0s     0             1          jetstream ok           pod-7/1/x2bcde  3     2026-01-02T03:04:05Z
us-west  leading  no     at most 250000  1m15s  7             1          jetstream unavailable  -               -     -
asia     -        -      -               -      -             -          -                      -               -     -

us-west: not ready: the broker does not answer
us-west: a trigger
asia: no answer
`, out.String())

	seen.Sources, seen.Relay.Error = seen.Sources[2:], "refused"
	seen.Sources = append(seen.Sources, seen.Sources[0])
	out.Reset()
	require.NoError(t, writeTable(&out, seen))
	require.Contains(t, out.String(), "\n\nrelay: none answers at http://r (refused)\nasia: no answer\n")
}

func TestStatusTableTellsWhoLeads(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	until := since.Add(time.Minute)
	for want, lease := range map[string]relay.Lease{
		"pod-7/1/x2bcde since 2026-01-02T03:04:05Z, term 3, until 2026-01-02T03:05:05Z unless it is renewed": {
			Owner: "pod-7/1/x2bcde", Term: 3, Since: since, Until: until, Held: true,
		},
		"none: the lease of pod-7/1/x2bcde, term 3, expired at 2026-01-02T03:05:05Z": {Owner: "pod-7/1/x2bcde", Term: 3, Since: since, Until: until},
		"none: the last one, term 3, gave the lease back at 2026-01-02T03:04:05Z":    {Term: 3, Since: since, Until: since},
		"none: no relay ever led": {Since: since, Until: since},
	} {
		var out bytes.Buffer
		require.NoError(t, writeTable(&out, oneSource(sourceView{Backlog: &relay.Backlog{}, Lease: &lease}, relayView{Error: "none"})))
		require.Contains(t, out.String(), "leader        "+want+"\n")
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]string{0: "0s", 0.0004: "0s", 0.25: "250ms", 3.14159: "3.14s", 3725.9: "1h2m6s"} {
		require.Equal(t, want, seconds(s))
	}
}

func TestStatusShowsTheRelayWhenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	env := []string{
		"OUTBOX_POSTGRES_URL=postgres://relay:hunter2@" + closedPort(t) + "/game?sslmode=disable",
		"OUTBOX_ADMIN_LISTEN=" + runningRelay(t, leading()),
	}
	got := call{args: []string{"status"}, env: env}.run(t)
	require.Equal(t, codeFailure, got.code)
	require.Regexp(t, `relay +leading for 1h0m0s`, got.out)
	require.Contains(t, got.err, "cannot connect to Postgres")

	got = call{args: []string{"status", "--json"}, env: env}.run(t)
	require.Equal(t, codeFailure, got.code)
	var seen overview
	require.NoError(t, json.Unmarshal([]byte(got.out), &seen))
	require.Len(t, seen.Sources, 1)
	require.Equal(t, config.DefaultSource, seen.Sources[0].Source)
	require.Nil(t, seen.Sources[0].Backlog)
	require.Contains(t, seen.Sources[0].Error, "cannot connect to Postgres")
	require.Equal(t, uint64(3), seen.Sources[0].Relay.Retried)
}

// lines counts the lines written to it and calls enough after the third.
type lines struct {
	n      int
	enough func()
}

func (l *lines) Write(p []byte) (int, error) {
	if l.n += bytes.Count(p, []byte("\n")); l.n >= 3 {
		l.enough()
	}
	return len(p), nil
}

func TestWatchGoesOnWhileTheDatabaseIsAwayAndEndsCleanly(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	root := newRootCommand([]string{"OUTBOX_POSTGRES_URL=postgres://relay@" + closedPort(t) + "/game", "OUTBOX_ADMIN_LISTEN="})
	seen := &lines{enough: cancel}
	root.SetOut(seen)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs([]string{"status", "--watch", "--json", "--interval=100ms"})
	require.Equal(t, codeOK, execute(ctx, root))
	require.Equal(t, 3, seen.n)
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWatchEndsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	root := newRootCommand([]string{"OUTBOX_POSTGRES_URL=postgres://relay@" + closedPort(t) + "/game", "OUTBOX_ADMIN_LISTEN="})
	root.SetOut(closedPipe{})
	root.SetErr(&bytes.Buffer{})
	root.SetArgs([]string{"status", "--watch"})
	require.Equal(t, codeFailure, execute(t.Context(), root))
}

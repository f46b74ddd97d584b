package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// TestTheLogSaysWhoAskedForARetry has an operator retry and discard dead letters, beside a relay
// that may read their log and one that may not.
func TestTheLogSaysWhoAskedForARetry(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	env = append(env, "OUTBOX_RELAY_SWEEP_INTERVAL=1s") // which may see what an operator did before the relay knows
	role := fmt.Sprintf("asked_%d", time.Now().UnixNano())
	execute(t, db, fmt.Sprintf("create role %s login password 'hunter2'; select outbox.grant_relay('%s')", role, role))
	t.Cleanup(func() { execute(t, db, fmt.Sprintf("drop owned by %s; drop role %s", role, role)) })
	c := newCLI(t, db.URL, env...)
	asked := func(p *relayProcess, command string) map[string]any {
		t.Helper()
		var line map[string]any
		require.Eventually(t, func() bool {
			line = p.lastLine("reading events again for an operator")
			return line["command"] == command
		}, cliTimeout, 10*time.Millisecond, "%s", p.logged())
		require.Equal(t, "info", line["level"])
		return line
	}

	begun := func(p *relayProcess) { // its session has read what operators did before
		t.Helper()
		p.requireLeads(t)
		c.mustRun(t, "publish", subject+".begun")
		requireSettled(t, db.Pool)
	}
	p := c.start(t)
	begun(p)
	buryByHand(t, db.Pool, buried{subject: subject + ".a"}, buried{subject: subject + ".b"}, buried{subject: subject + ".c"})
	c.mustRun(t, "dead", "discard", "--subject="+subject+".c", "--note=old", "--by=alice")
	line := asked(p, "dead discard")
	require.Equal(t, "postgres (alice)", line["operator"])
	require.EqualValues(t, 1, line["events"])
	begun(p)
	c.mustRun(t, "dead", "retry", "--all", "--by=bob")
	line = asked(p, "dead retry")
	require.Equal(t, "postgres (bob)", line["operator"])
	require.EqualValues(t, 2, line["events"])
	require.NotContains(t, p.logged(), "outbox.control")
	require.NotContains(t, p.logged(), "safety sweep")
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())

	p = newCLI(t, as(t, db.URL, role, "hunter2"), env...).start(t)
	begun(p)
	buryByHand(t, db.Pool, buried{subject: subject + ".d"})
	c.mustRun(t, "dead", "retry", "--all", "--by=bob")
	line = asked(p, "dead retry or dead discard or verify --repair")
	require.Equal(t, "unknown", line["operator"])
	require.NotContains(t, strings.ToLower(p.logged()), "permission denied")
	code, _ = p.stop(t)
	require.Zero(t, code, p.logged())
}

func TestCLIRefusesAnUnknownReason(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	c := newCLI(t, db.URL)
	for _, args := range [][]string{
		{"retry", "--reason=nonsense"}, {"discard", "--reason=too_large,nonsense", "--note=x"}, {"list", "--reason=nonsense"},
	} {
		got := c.run(t, append([]string{"dead"}, args...)...)
		requireStartFails(t, got, 2, `reason is "nonsense", allowed: too_large, bad_subject, bad_header, unreadable, id_taken, refused, attempts`)
	}
	c.mustRun(t, "dead", "list", "--reason=too_large,attempts")
}

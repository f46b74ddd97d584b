package integration_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// TestAnEventWhoseSubjectIsNotCapturedIsTold looks at everything that an operator sees: /readyz,
// status and the log.
func TestAnEventWhoseSubjectIsNotCapturedIsTold(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	lost := "lost_" + subject
	c := newCLI(t, db.URL, env...)
	p := c.start(t)
	p.requireLeads(t)
	c.env = slices.Concat(c.env, []string{"OUTBOX_ADMIN_LISTEN=" + strings.TrimPrefix(p.admin, "http://")})
	c.mustRun(t, "publish", lost)
	c.mustRun(t, "publish", subject+".a")

	why := "stream \"" + subject + "\" does not capture subject " + lost
	command := "run: nats stream edit " + subject + " --subjects='" + subject + ".>," + lost + "' --force"
	var body string
	require.Eventually(t, func() bool {
		var code int
		code, body = p.get(t, "/readyz")
		return code == http.StatusOK && strings.HasPrefix(body, "ready; 1 event waits, for example event ")
	}, cliTimeout, 10*time.Millisecond)
	require.Contains(t, body, why)
	require.Contains(t, body, command)
	table := c.mustRun(t, "status")
	require.Regexp(t, `(?m)^warning +1 event waits, for example event \d+ with subject lost_`, table)
	require.Contains(t, table, command)
	require.Regexp(t, `(?m)^delayed +1 event$`, table, "the warning says why")
	require.Contains(t, c.mustRun(t, "status", "--json"), `"blocked":{"events":1,"id":`)
	line := p.await(t, "event not taken; retrying")
	require.Equal(t, "this event", line["waits"], "it has no key that could wait")
	require.NotContains(t, line, "key")
	require.Contains(t, line["error"], command)

	s := stream{url: server, name: subject}
	require.Eventually(t, func() bool { return s.count() == 1 }, cliTimeout, 10*time.Millisecond, "the other event flows")
	c.mustRun(t, "publish", lost, "--key=player:1")
	require.Eventually(t, func() bool {
		_, body = p.get(t, "/readyz")
		return strings.HasPrefix(body, "ready; 2 events wait")
	}, cliTimeout, 10*time.Millisecond)

	s.capture(t, lost)
	require.Eventually(t, func() bool { return s.count() == 3 }, cliTimeout, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		_, body = p.get(t, "/readyz")
		return body == "ready\n"
	}, cliTimeout, 10*time.Millisecond, "%s", body)
	require.NotRegexp(t, `(?m)^warning +\d+ events? wait`, c.mustRun(t, "status"))
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())
}

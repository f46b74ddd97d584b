package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
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

// TestManyEventsThatWaitDelayNobody lets more events wait than lanes hold, each of a key of its own,
// for what only an operator can change. It counts what the broker is asked, so that it is certain
// that not each of them is tried again.
func TestManyEventsThatWaitDelayNobody(t *testing.T) {
	t.Parallel()
	const many, manyTimeout = 30_000, 2 * time.Minute
	for name, c := range map[string]struct {
		subject func(s stream) string
		limit   func(*natsjs.StreamConfig)
		stored  int // of the many
		mend    func(t *testing.T, s stream, subject string)
	}{
		"a subject that the stream does not capture": {
			subject: func(s stream) string { return "lost_" + s.subject },
			limit:   func(*natsjs.StreamConfig) {},
			mend:    func(t *testing.T, s stream, subject string) { s.capture(t, subject) },
		},
		"a subject that is full": {
			subject: func(s stream) string { return s.subject + ".full" },
			limit: func(cfg *natsjs.StreamConfig) {
				cfg.MaxMsgsPerSubject, cfg.Discard, cfg.DiscardNewPerSubject = 1, natsjs.DiscardNew, true
			},
			stored: 1,
			mend: func(t *testing.T, s stream, _ string) {
				existing, err := s.admin(t).Stream(t.Context(), s.name)
				require.NoError(t, err)
				cfg := existing.CachedInfo().Config
				cfg.MaxMsgsPerSubject, cfg.DiscardNewPerSubject = -1, false
				_, err = s.admin(t).UpdateStream(t.Context(), cfg)
				require.NoError(t, err)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := migrated(t)
			s := newStream(t, harness.NATS(t), fmt.Sprintf("many_%d", c.stored))
			s.create(t, c.limit)
			subject := c.subject(s)
			run(t, db.Pool, "select outbox.publish($1, '{}', 'k' || i) from generate_series(1, $2) i", subject, many)
			stop := func() {}
			begin := func() *relay.Relay {
				var r *relay.Relay
				r, stop = runRelay(t, db.URL, s.publisher(t), nil)
				return r
			}
			r := begin()
			defer func() { stop() }()
			flows := func(expected int) {
				run(t, db.Pool, "select outbox.publish($1, '{}', 'good')", fmt.Sprintf("%s.good.%d", s.subject, expected))
				run(t, db.Pool, "select outbox.publish($1, '{}', 'k' || $2::int)", s.subject+".behind", many/2)
				require.Eventually(t, func() bool { return s.count() == c.stored+expected }, manyTimeout, 10*time.Millisecond)
			}
			flows(1)
			require.Eventually(t, func() bool { return r.Status().Delayed == many-c.stored+1 }, manyTimeout, 10*time.Millisecond)
			retried := r.Status().Retried
			for i := range 20 {
				flows(2 + i)
			}
			require.Less(t, r.Status().Retried-retried, uint64(many/2), "some are tried for all")
			stop()
			r = begin()
			flows(22)
			require.Eventually(t, func() bool { return r.Status().Delayed == many-c.stored+22 }, manyTimeout, 10*time.Millisecond)
			c.mend(t, s, subject)
			require.Eventually(t, func() bool { return s.count() == many+2*22 }, manyTimeout, 50*time.Millisecond)
			requireSettled(t, db.Pool)
			seen := map[string]bool{}
			for _, msg := range s.read(t) {
				key := msg.Headers().Get("Outbox-Key")
				if msg.Subject() == s.subject+".behind" {
					require.True(t, seen[key], "it was stored before the event that waited")
				}
				seen[key] = true
			}
		})
	}
}

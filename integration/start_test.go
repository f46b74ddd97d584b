package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// requireWaits waits until a relay that has started says why it cannot begin, and checks that it
// lives.
func (p *relayProcess) requireWaits(t testing.TB, why string) {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		var code int
		code, body = p.get(t, "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, why)
	}, cliTimeout, 10*time.Millisecond, "no %q", why)
	p.await(t, "cannot begin, trying again")
	code, _ := p.get(t, "/healthz")
	require.Equal(t, http.StatusOK, code)
}

// requireLeads waits until a relay leads and is ready.
func (p *relayProcess) requireLeads(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		code, _ := p.get(t, "/readyz")
		_, body := p.get(t, "/api/v1/status")
		return code == http.StatusOK && statusOf(body, "default").State == relay.StateLeading
	}, cliTimeout, 10*time.Millisecond, p.logged())
}

// TestARelayStartsBeforePostgres starts a relay, one with --migrate, and then their server.
func TestARelayStartsBeforePostgres(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	migrated, empty := server.Database(t), server.EmptyDatabase(t)
	server.Stop()
	env, _ := ownStream(t, harness.NATS(t))
	plain, migrating := newCLI(t, migrated.URL, env...).start(t), newCLI(t, empty.URL, env...).start(t, "--migrate")
	plain.requireWaits(t, "connection refused")
	migrating.requireWaits(t, "connection refused")
	line := plain.await(t, "cannot begin, trying again")
	require.Contains(t, line["error"], "connection refused")
	require.Contains(t, line["next"], "check that the server runs")
	require.NotContains(t, plain.logged(), "outbox@", "no password")

	server.Start()
	began := time.Now()
	plain.requireLeads(t)
	migrating.requireLeads(t)
	t.Logf("both lead %s after the server is back", time.Since(began).Round(time.Millisecond))
	plain.await(t, "can begin now")
	for _, p := range []*relayProcess{plain, migrating} {
		code, _ := p.stop(t)
		require.Zero(t, code, p.logged())
	}
}

// TestARelayStartsBeforeItsServerHasAName is a stop, too, while the relay cannot begin.
func TestARelayStartsBeforeItsServerHasAName(t *testing.T) {
	t.Parallel()
	p := newCLI(t, "postgres://relay:hunter2@no-such-host.invalid/game").start(t)
	p.requireWaits(t, "no-such-host.invalid")
	code, took := p.stop(t)
	require.Zero(t, code, p.logged())
	require.Less(t, took, 2*time.Second)
	require.NotContains(t, p.logged(), "hunter2")
}

// TestARelayStartsWhileTheServerIsFull has a role that may not connect, as it is when too many do.
func TestARelayStartsWhileTheServerIsFull(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	role := fmt.Sprintf("full_%d", time.Now().UnixNano())
	execute(t, db, fmt.Sprintf("create role %s login password 'hunter2' connection limit 0; select outbox.grant_relay('%s')", role, role))
	t.Cleanup(func() { execute(t, db, fmt.Sprintf("drop owned by %s; drop role %s", role, role)) })
	env, _ := ownStream(t, harness.NATS(t))
	p := newCLI(t, as(t, db.URL, role, "hunter2"), env...).start(t)
	p.requireWaits(t, "too many connections")
	execute(t, db, fmt.Sprintf("alter role %s connection limit -1", role))
	p.requireLeads(t)
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())
}

// TestARelayStartsOnAStandby has the address of a standby, which is promoted.
func TestARelayStartsOnAStandby(t *testing.T) {
	t.Parallel()
	pair := harness.StartPostgresPair(t)
	db := pair.Primary.Database(t)
	standby := pair.OnStandby(db)
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), standby)
		if err != nil {
			return false
		}
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "select from outbox.lease")
		return err == nil
	}, cliTimeout, 20*time.Millisecond, "the standby follows")
	env, _ := ownStream(t, harness.NATS(t))
	p := newCLI(t, standby, env...).start(t)
	p.requireWaits(t, "is a standby")
	pair.Promote()
	p.requireLeads(t)
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())
}

// TestWhichSourcesEndTheStart starts a relay of two sources: one cannot be reached yet, and the
// other needs a person.
func TestWhichSourcesEndTheStart(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	name := fmt.Sprintf("absent_%d", time.Now().UnixNano())
	absent := withDatabase(t, db.URL, name)
	file := func(first, second string) string {
		path := filepath.Join(t.TempDir(), "config.yaml")
		text := fmt.Sprintf("sources:\n  - {name: a, postgres: {url: %q}}\n  - {name: b, postgres: {url: %q}}\n", first, second)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	env, _ := ownStream(t, harness.NATS(t))
	c := newCLI(t, "", env...)
	c.env = c.env[1:] // each source has its own
	requireStartFails(t, c.run(t, "run", "--config", file(absent, withDatabase(t, db.URL, name+"x"))), 1,
		"none of the 2 sources can be served", "a: cannot connect to Postgres", "b: cannot connect to Postgres", "create the database")

	p := c.start(t, "--config", file("postgres://relay@"+harness.FreeAddress(t)+"/game?sslmode=disable", absent))
	p.requireWaits(t, "a: cannot connect to Postgres: ")
	readyz := func(text string) func() bool {
		return func() bool {
			_, body := p.get(t, "/readyz")
			return strings.Contains(body, text)
		}
	}
	require.Eventually(t, readyz("does not exist"), cliTimeout, 10*time.Millisecond)
	execute(t, db, "create database "+name)
	t.Cleanup(func() { execute(t, db, "drop database "+name+" with (force)") })
	require.Eventually(t, readyz("has no table outbox.events"), cliTimeout, 10*time.Millisecond, "what a person has to change in one source is tried again for the sake of the other")
	newCLI(t, absent).mustRun(t, "migrate", "up")
	require.Eventually(t, func() bool {
		_, body := p.get(t, "/api/v1/status")
		return statusOf(body, "b").State == relay.StateLeading
	}, cliTimeout, 10*time.Millisecond)
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())
}

// execute runs statements as the superuser.
func execute(t testing.TB, db *harness.Database, statements string) {
	t.Helper()
	_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), statements)
	require.NoError(t, err)
}

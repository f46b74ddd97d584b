package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

func TestCLIRefusesAWrongConfiguration(t *testing.T) {
	t.Parallel()
	got := newCLI(t, "postgres://db/game", "OUTBOX_MQ_NATSURL=x", "OUTBOX_RELAY_BATCH_EVENTS=0").run(t, "run")
	requireStartFails(t, got, 2, "did you mean OUTBOX_MQ_NATS_URL?", "relay.batch_events is 0; allowed: 1 to 65536")
}

func TestCLIFailsWithAWrongPasswordOrDatabase(t *testing.T) {
	t.Parallel()
	db := harness.EmptyPostgres(t)
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.Path = "/no_such_database"
	requireStartFails(t, newCLI(t, u.String()).run(t, "run"), 1, "no_such_database", "create the database, or correct its name")

	for _, args := range [][]string{{"migrate", "up"}, {"run"}, {"run", "--migrate"}} {
		got := newCLI(t, as(t, db.URL, "nobody", "hunter2")).run(t, args...)
		requireStartFails(t, got, 1, "check user and password")
		require.NotContains(t, got.err, "hunter2")
	}
}

func TestCLIFailsWithoutASchema(t *testing.T) {
	t.Parallel()
	c := newCLI(t, harness.EmptyPostgres(t).URL)
	requireStartFails(t, c.run(t, "run"), 1, "has no table outbox.events", "next:  run: outbox-relay migrate up")
	requireStartFails(t, c.run(t, "status"), 1, "has no table outbox.events", "next:  run: outbox-relay migrate up")
	requireStartFails(t, c.run(t, "publish", "game.x"), 1, "next:  run: outbox-relay migrate up")
}

func TestCLIFailsWithANewerSchema(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	_, err := db.Pool.Exec(t.Context(), "insert into outbox.schema_version (version_id, is_applied) values (9999, true)")
	require.NoError(t, err)
	c := newCLI(t, db.URL)
	requireStartFails(t, c.run(t, "run"), 1, "schema outbox has version 9999", "use a newer outbox-relay")
	requireStartFails(t, c.run(t, "run", "--migrate"), 1, "version 9999", "at least as new as the schema")
	requireStartFails(t, c.run(t, "migrate", "up"), 1, "version 9999", "at least as new as the schema")
	require.Regexp(t, `9999 +\(unknown to this program\)`, c.mustRun(t, "migrate", "status"))
}

func TestCLIFailsWithoutRights(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	env, _ := ownStream(t, harness.NATS(t))
	role := fmt.Sprintf("cli_%d", time.Now().UnixNano())
	_, err := db.Pool.Exec(t.Context(), fmt.Sprintf("create role %s login password 'hunter2'", role))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), fmt.Sprintf("drop owned by %s; drop role %s", role, role))
		require.NoError(t, err)
	})
	c := newCLI(t, as(t, db.URL, role, "hunter2"), env...)
	grant := fmt.Sprintf("select outbox.grant_relay('%s')", role)
	got := c.run(t, "run")
	requireStartFails(t, got, 1, role, grant)
	require.NotContains(t, got.err, "hunter2")

	_, err = db.Pool.Exec(t.Context(), grant)
	require.NoError(t, err)
	p := c.start(t)
	p.await(t, "relay is leading")
	code, _ := p.stop(t)
	require.Zero(t, code, "with the rights that it asked for, the relay runs")
}

func TestCLIFailsWithoutAStreamForTheSubject(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, _ := ownStream(t, server)
	got := newCLI(t, db.URL, append(env, "OUTBOX_MQ_CREATE_STREAM=false")...).run(t, "run")
	requireStartFails(t, got, 1, "the broker cannot take the events", "OUTBOX_MQ_NATS_URL", "next:  change the broker")
}

func TestCLIFailsWhenAnotherStreamOwnsTheSubject(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	createStream(t, server, "owner_of_"+subject, subject+".taken.>")
	got := newCLI(t, db.URL, env...).run(t, "run")
	requireStartFails(t, got, 1, "the broker cannot take the events", "owner_of_"+subject, "next:  change the broker")
}

func TestCLIFailsWhenTheAdminPortIsTaken(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	got := newCLI(t, db.URL, "OUTBOX_ADMIN_LISTEN="+taken.Addr().String()).run(t, "run")
	requireStartFails(t, got, 1, "address already in use", "admin.listen is "+taken.Addr().String())
}

func TestCLIMigratesUpAndDown(t *testing.T) {
	t.Parallel()
	c := newCLI(t, harness.EmptyPostgres(t).URL)
	require.Contains(t, c.mustRun(t, "migrate", "status"), "pending")

	require.Contains(t, c.mustRun(t, "migrate", "up"), "applied 1 ")
	require.NotContains(t, c.mustRun(t, "migrate", "up"), "applied", "the second time there is nothing to do")
	require.NotContains(t, c.mustRun(t, "migrate", "status"), "pending")

	c.mustRun(t, "publish", "game.x", "{}")
	var got cliResult
	for got.code == 0 {
		got = c.run(t, "migrate", "down")
	}
	requireStartFails(t, got, 1, "cannot undo the migration", "--drop-rows")
	for got.code = 0; got.code == 0; {
		got = c.run(t, "migrate", "down", "--drop-rows")
	}
	require.Contains(t, got.err, "nothing to undo")
}

func TestCLIPublishesFromTheCommandLineToTheStream(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	c := newCLI(t, db.URL, env...)
	p := c.start(t)
	require.Equal(t, subject, p.await(t, "NATS JetStream connected successfully")["stream"])

	id := strings.TrimSpace(c.mustRun(t, "publish", subject+".a", `{"level":7}`, "--key=player:1", "--header=color=red"))
	_, err := outbox.ParseID(id)
	require.NoError(t, err)
	s := stream{url: server, name: subject}
	require.Eventually(t, func() bool { return s.count() == 1 }, cliTimeout, 20*time.Millisecond)
	stored := s.read(t)[0]
	require.Equal(t, `{"level":7}`, string(stored.Data()))
	require.Equal(t, id, stored.Headers().Get("Nats-Msg-Id"))
	require.Equal(t, "player:1", stored.Headers().Get("Outbox-Key"))
	require.Equal(t, "red", stored.Headers().Get("color"))

	code, took := p.stop(t)
	require.Zero(t, code, p.logged())
	require.Less(t, took, 11*time.Second)
	p.await(t, "stopped")
}

func TestCLIRunMigratesIfAsked(t *testing.T) {
	t.Parallel()
	db := harness.EmptyPostgres(t)
	p := newCLI(t, db.URL).start(t, "--migrate")
	p.await(t, "migration applied")
	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())
}

func TestCLIStartsDuringAnOutageOfTheBroker(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	c := newCLI(t, db.URL, "OUTBOX_MQ_NATS_URL=nats://relay:hunter2@"+harness.FreeAddress(t), "OUTBOX_MQ_CONNECT_TIMEOUT=500ms", "OUTBOX_RELAY_SHUTDOWN_TIMEOUT=1s")
	c.mustRun(t, "publish", "game.x", "{}")
	p := c.start(t)

	require.Eventually(t, func() bool {
		_, body := p.get(t, "/api/v1/status")
		return statusOf(body, "default").Broker.State == relay.BrokerUnavailable
	}, cliTimeout, 10*time.Millisecond)
	code, body := p.get(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, "not ready: ")
	code, _ = p.get(t, "/healthz")
	require.Equal(t, http.StatusOK, code)
	_, metrics := p.get(t, "/metrics")
	require.Contains(t, metrics, "outbox_relay_")
	require.Equal(t, 1, waiting(t, db.Pool), "the event waits")

	exit, took := p.stop(t)
	require.Zero(t, exit, p.logged())
	require.Less(t, took, 2*time.Second, "the shutdown timeout and a second")
	require.NotContains(t, p.logged(), "hunter2")
}

func TestCLIStatus(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	c := newCLI(t, db.URL, env...)
	c.mustRun(t, "publish", subject+".a")
	c.mustRun(t, "publish", subject+".b")

	alone := c
	alone.env = slices.Concat(c.env, []string{"OUTBOX_ADMIN_LISTEN=" + harness.FreeAddress(t)})
	table := alone.mustRun(t, "status")
	require.Regexp(t, `backlog +2 events\n`, table)
	require.Regexp(t, `relay +none answers at http://127\.0\.0\.1:\d+ \(.*connection refused\)\n`, table)

	p := c.start(t)
	require.Eventually(t, func() bool { return waiting(t, db.Pool) == 0 }, cliTimeout, 10*time.Millisecond)
	var seen struct {
		Sources []struct {
			Source  string
			Backlog relay.Backlog
			Relay   relay.Status
		}
	}
	asked := c
	asked.env = slices.Concat(c.env, []string{"OUTBOX_ADMIN_LISTEN=" + strings.TrimPrefix(p.admin, "http://")})
	require.NoError(t, json.Unmarshal([]byte(asked.mustRun(t, "status", "--json")), &seen))
	require.Len(t, seen.Sources, 1)
	require.Equal(t, "default", seen.Sources[0].Source)
	require.Zero(t, seen.Sources[0].Backlog.Events)
	require.Equal(t, relay.StateLeading, seen.Sources[0].Relay.State)
	require.Equal(t, uint64(2), seen.Sources[0].Relay.Published)
	require.Regexp(t, `relay +leading for `, asked.mustRun(t, "status"))

	code, _ := p.stop(t)
	require.Zero(t, code, p.logged())
}

func TestCLIStopsInTimeWhenPostgresHangs(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	env, _ := ownStream(t, harness.NATS(t))
	c := newCLI(t, server.EmptyDatabase(t).URL, append(env, "OUTBOX_RELAY_SHUTDOWN_TIMEOUT=1s")...)
	p := c.start(t, "--migrate")
	p.await(t, "relay is leading")
	server.Pause()
	defer server.Unpause()

	code, took := p.stop(t)
	require.Zero(t, code, p.logged())
	require.Less(t, took, 2*time.Second, "the shutdown timeout and a second: %s", p.logged())
}

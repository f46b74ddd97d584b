package integration_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// run executes statements as the superuser.
func run(t *testing.T, pool *pgxpool.Pool, statements string, args ...any) {
	t.Helper()
	_, err := pool.Exec(t.Context(), statements, args...)
	require.NoError(t, err, statements)
}

// roleSettings are what people set for a role, and would break a relay that left them as they are.
var roleSettings = []string{
	"client_encoding = 'LATIN1'",
	"standard_conforming_strings = off",
	"default_transaction_read_only = on",
	"default_transaction_deferrable = on",
	"idle_session_timeout = '300ms'",
	"idle_in_transaction_session_timeout = '1ms'",
	"statement_timeout = '5s'",
	"lock_timeout = '1ms'",
	"bytea_output = 'escape'",
	"DateStyle = 'German, DMY'",
	"IntervalStyle = 'sql_standard'",
	"TimeZone = 'America/St_Johns'",
	"search_path = skewed, public, pg_catalog",
	"row_security = off",
	"extra_float_digits = 0",
	"jit = on",
	"enable_indexscan = off",
	"enable_nestloop = off",
	"enable_sort = off",
	"transform_null_equals = on",
	"array_nulls = off",
	"quote_all_identifiers = on",
	"plan_cache_mode = force_custom_plan",
	"work_mem = '64kB'",
	"synchronous_commit = off",
	"client_min_messages = debug1",
	"max_parallel_workers_per_gather = 8",
	"default_statistics_target = 1",
	"application_name = 'of the role'",
}

// urlOptions are what people add to a connection string.
var urlOptions = []string{
	"statement_cache_capacity=0",
	"description_cache_capacity=0",
	"statement_cache_capacity=0&description_cache_capacity=0",
	"statement_cache_capacity=0&default_query_exec_mode=exec",
	"default_query_exec_mode=simple_protocol",
	"default_query_exec_mode=exec",
	"default_query_exec_mode=describe_exec",
	"pool_max_conns=1",
	"pool_min_conns=20",
	"pool_max_conns=1&pool_max_conn_lifetime=200ms",
	"pool_max_conn_idle_time=1ms&pool_health_check_period=1ms",
	"client_encoding=LATIN1",
	"datestyle=German",
	"search_path=",
	"statement_timeout=2000",
	"default_transaction_isolation=serializable",
	"default_transaction_read_only=on",
	"options=-c%20statement_timeout%3D2000%20-c%20default_transaction_read_only%3Don",
	"connect_timeout=1&target_session_attrs=read-write",
	"default_transaction_read_only=on&target_session_attrs=read-write",
	"target_session_attrs=primary",
	"channel_binding=prefer",
	"application_name=mine",
}

// TestSettingsOfARole sets all of them at once, and runs a relay and every command.
func TestSettingsOfARole(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			role := newRelayRole(t, db)
			run(t, db.Pool, "create schema skewed; grant usage on schema skewed to "+role.quoted())
			for _, setting := range append(roleSettings, "default_transaction_isolation = '"+isolation+"'") {
				run(t, db.Pool, "alter role "+role.quoted()+" set "+setting)
			}
			requireRelays(t, db, role.url, func(publishedByHand func(int)) { requireCommands(t, role.url, publishedByHand) })
		})
	}
}

// TestOptionsOfAConnectionString runs a relay with each, and a command with all of them.
func TestOptionsOfAConnectionString(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for _, option := range urlOptions {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			requireRelays(t, db, db.URL+"&"+option, nil)
		})
	}
	c := newCLI(t, db.URL+"&"+strings.Join(urlOptions, "&"))
	c.mustRun(t, "publish", "game.x")
	c.mustRun(t, "status")
	c.mustRun(t, "migrate", "status")
}

// newRelayRole returns a role with the rights of a relay, of an operator and of a writer.
func newRelayRole(t *testing.T, db *harness.Database) role {
	t.Helper()
	role := newRole(t, db)
	run(t, db.Pool, "select outbox.grant_relay($1::text::regrole), outbox.grant_operator($1::text::regrole), outbox.grant_writer($1::text::regrole)",
		role.quoted())
	return role
}

// requireRelays runs a relay with a connection string, and checks that one session of it has done everything. While it runs, more may
// happen, and tells how many events that has added.
func requireRelays(t *testing.T, db *harness.Database, url string, more func(added func(int))) {
	t.Helper()
	broker := &memory{}
	startRelay(t, url, broker, nil)
	delivered := 0
	added := func(n int) {
		t.Helper()
		delivered += n
		require.Eventually(t, func() bool { return broker.count() == delivered }, 60*time.Second, 10*time.Millisecond)
		requireSettled(t, db.Pool)
	}
	publishOne(t, db, "game.setting")
	added(1)
	if more != nil {
		more(added)
	}
	require.Never(t, func() bool { return leaseTerm(t, db) != 1 }, 700*time.Millisecond, 20*time.Millisecond, "a session has failed")
	publishOne(t, db, "game.setting")
	added(1)
	require.EqualValues(t, 1, leaseTerm(t, db), "a session has failed")
}

// requireCommands runs the commands that need no broker.
func requireCommands(t *testing.T, url string, added func(int)) {
	t.Helper()
	c := newCLI(t, url)
	c.mustRun(t, "publish", "game.setting", `{"text": "Grüße"}`, "--key=k", "--header=a=ü")
	added(1)
	c.mustRun(t, "status")
	c.mustRun(t, "migrate", "status")
	c.mustRun(t, "migrate", "up")
	c.mustRun(t, "dead", "list")
	c.mustRun(t, "dead", "retry", "--all", "--wait=0")
	c.mustRun(t, "replay", "--new-ids", "--since=1h")
	added(2)
}

// TestASessionHasWhatTheRelayReliesOn sets everything otherwise at once.
func TestASessionHasWhatTheRelayReliesOn(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	role := newRelayRole(t, db)
	known, err := db.Pool.Query(t.Context(), "select name from pg_settings")
	require.NoError(t, err)
	names, err := pgx.CollectRows(known, pgx.RowTo[string])
	require.NoError(t, err)
	since17 := "transaction_timeout"
	unknown := func(name, _ string) bool { return name == since17 && !slices.Contains(names, name) }
	set := map[string]string{
		"client_encoding": "LATIN1", "standard_conforming_strings": "off", "bytea_output": "escape", "DateStyle": "German", "IntervalStyle": "iso_8601",
		"search_path": "public", "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
		"default_transaction_deferrable": "on", "statement_timeout": "30s", "lock_timeout": "30s", "transaction_timeout": "30s",
		"idle_in_transaction_session_timeout": "30s", "idle_session_timeout": "30s", "enable_indexscan": "off", "enable_indexonlyscan": "off",
		"work_mem": "64kB", "max_parallel_workers_per_gather": "8", "row_security": "on",
	}
	maps.DeleteFunc(set, unknown)
	for name, value := range set {
		run(t, db.Pool, fmt.Sprintf("alter role %s set %s = '%s'", role.quoted(), name, value))
	}
	want := map[string]string{
		"client_encoding": "UTF8", "standard_conforming_strings": "on", "bytea_output": "hex", "IntervalStyle": "postgres",
		"search_path": "pg_catalog, pg_temp", "transaction_isolation": "read committed", "transaction_read_only": "off", "transaction_deferrable": "off",
		"statement_timeout": "0", "lock_timeout": "0", "transaction_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"idle_session_timeout": "0", "enable_indexscan": "on", "enable_indexonlyscan": "on", "enable_seqscan": "off", "enable_bitmapscan": "off",
		"jit": "off", "work_mem": "32MB", "max_parallel_workers_per_gather": "0", "row_security": "off",
		"tcp_user_timeout": "25000",
	}
	maps.DeleteFunc(want, unknown)
	pool, err := relay.NewPool(t.Context(), role.url, relay.MinConns)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	single, err := relay.ConnConfig(role.url)
	require.NoError(t, err)
	conn, err := pgx.ConnectConfig(t.Context(), single)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for name, db := range map[string]relay.Queryer{"pool": pool, "connection": conn} {
		for setting, value := range want {
			rows, err := db.Query(t.Context(), "select current_setting($1)", setting)
			require.NoError(t, err)
			got, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Equal(t, value, got, "%s of the %s", setting, name)
		}
		rows, err := db.Query(t.Context(), "select current_setting('DateStyle')")
		require.NoError(t, err)
		got, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(got, "ISO"), got)
	}
}

// notBehindAPooler begin the settings that are refused, that end sessions which the pooler keeps, and that make the planner slow for the
// commands, which go without settings there.
var notBehindAPooler = []string{"default_transaction_", "idle_session_timeout", "enable_", "jit"}

// TestSettingsBehindAPooler are those of the role that the pooler uses. What can be set for a transaction works, and what cannot is refused.
func TestSettingsBehindAPooler(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	t.Run("that hold for a transaction", func(t *testing.T) {
		t.Parallel()
		db := server.Database(t)
		url := harness.StartPgBouncer(t, server, db).URL
		requireStartFails(t, newCLI(t, url+"&search_path=public").run(t, "run"), 1, "search_path", "ignore_startup_parameters")
		run(t, db.Pool, "create schema skewed")
		for _, setting := range roleSettings {
			if !slices.ContainsFunc(notBehindAPooler, func(prefix string) bool { return strings.HasPrefix(setting, prefix) }) {
				run(t, db.Pool, fmt.Sprintf("alter role postgres in database %s set %s", db.Pool.Config().ConnConfig.Database, setting))
			}
		}
		url += "&statement_cache_capacity=0&default_query_exec_mode=exec"
		requireRelays(t, db, url, func(added func(int)) { requireCommands(t, url, added) })
	})
	for name, c := range map[string]struct{ setting, wanted string }{
		"default_transaction_isolation": {"repeatable read", "read committed"},
		"default_transaction_read_only": {"on", "off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireRefusedBehindAPooler(t, server, name, c.setting, c.wanted)
		})
	}
}

// requireRefusedBehindAPooler checks that what cannot work is refused with the statement that fixes it, and that this does.
func requireRefusedBehindAPooler(t *testing.T, server *harness.PostgresServer, name, setting, wanted string) {
	t.Helper()
	db := server.Database(t)
	database := db.Pool.Config().ConnConfig.Database
	run(t, db.Pool, fmt.Sprintf("alter role postgres in database %s set %s = '%s'", database, name, setting))
	url := harness.StartPgBouncer(t, server, db).URL
	var problem *relay.CheckError
	require.ErrorAs(t, relay.Check(t.Context(), connect(t, url), migrations.Latest()), &problem)
	require.Equal(t, relay.ProblemSession, problem.Problem)

	remedy := fmt.Sprintf("alter role postgres in database %s set %s = '%s'", database, name, wanted)
	found := fmt.Sprintf("%s is %q, and the relay needs %q", name, setting, wanted)
	requireStartFails(t, newCLI(t, url).run(t, "run"), 1, found, remedy)
	requireStartFails(t, newCLI(t, url).run(t, "replay", "--new-ids", "--since=1h"), 1, found, remedy)
	if wanted == "off" {
		requireStartFails(t, newCLI(t, url).run(t, "publish", "game.x"), 1, "set default_transaction_read_only = off")
	}

	broker := &memory{}
	r := startRelay(t, url, broker, nil) // one that has started before tries again
	require.Eventually(t, func() bool { return strings.Contains(r.Status().NotReady, found) }, 20*time.Second, 10*time.Millisecond)
	run(t, db.Pool, "begin read write; "+remedy+"; commit")
	run(t, db.Pool, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
	after := connect(t, db.URL)
	run(t, after, "select outbox.publish('game.x', '{}')")
	require.Eventually(t, func() bool { return broker.count() == 1 }, 30*time.Second, 100*time.Millisecond)
}

// TestAConnectionStringThatCannotWorkIsRefused with the option and the next step.
func TestAConnectionStringThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for name, c := range map[string]struct {
		url  string
		code int
		want []string
	}{
		"unknown to the server":    {db.URL + "&gssencmode=disable", 1, []string{"gssencmode", "correct or remove the option of postgres.url"}},
		"a value it does not take": {db.URL + "&TimeZone=nowhere", 1, []string{"TimeZone", "correct or remove the option of postgres.url"}},
		"unknown to the driver":    {db.URL + "&default_query_exec_mode=fast", 2, []string{"postgres.url is", "default_query_exec_mode"}},
		"a number that is none":    {db.URL + "&statement_cache_capacity=none", 2, []string{"postgres.url is", "statement_cache_capacity"}},
		"an option of a pool":      {db.URL + "&pool_max_conns=none", 2, []string{"postgres.url is", "pool_max_conns"}},
		"only a standby":           {db.URL + "&target_session_attrs=standby", 0, []string{"target_session_attrs=read-write"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.code == 0 { // a role of the server that may change: run waits for it, and the others end
				c.code = 1
			} else {
				requireStartFails(t, newCLI(t, c.url).run(t, "run"), c.code, c.want...)
			}
			requireStartFails(t, newCLI(t, c.url).run(t, "migrate", "up"), c.code, c.want...)
			requireStartFails(t, newCLI(t, c.url).run(t, "publish", "game.x"), c.code, c.want...)
		})
	}
}

// TestAProcessWithALargeNumber is what PgBouncer before 1.21 tells its clients: 32 bits at random, which Postgres itself never gives.
func TestAProcessWithALargeNumber(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	requireRelays(t, db, numberedLike118(t, db.URL), nil)
}

// numberedLike118 returns the URL of a server in front of another one, which names a process that does not fit into an int.
func numberedLike118(t *testing.T, upstream string) string {
	t.Helper()
	u, err := url.Parse(upstream)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	address := u.Host
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				defer server.Close()
				_, _ = io.Copy(server, client)
			}()
			go func() {
				defer client.Close()
				renumber(client, server)
			}()
		}
	}()
	u.Host = listener.Addr().String()
	return u.String()
}

// renumber copies what a server says, and changes the number in its BackendKeyData.
func renumber(client io.Writer, server io.Reader) {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'K' {
			binary.BigEndian.PutUint32(body, 4246056743)
		}
		if _, err := client.Write(slices.Concat(head, body)); err != nil {
			return
		}
		if head[0] == 'Z' {
			_, _ = io.Copy(client, server)
			return
		}
	}
}

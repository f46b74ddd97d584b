package integration_test

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
)

// plantedSQL plants in schema $1 what would be called instead of the functions and operators of
// pg_catalog named $2: a function or an operator for each combination of types with which a
// statement may call one that is polymorphic, or that needs a cast. Each notes that it was called
// in a sequence, which no rollback takes back, and raises an error.
//
//go:embed testdata/planted.sql
var plantedSQL string

// namesInSQL returns every word and every operator in the program's sources: more than what the SQL in them calls.
func namesInSQL(t testing.TB) (names []string) {
	t.Helper()
	token := regexp.MustCompile(`[a-z_][a-z0-9_]*|[-+*/<>=~!@#%^&|?]+`)
	seen := make(map[string]bool)
	for _, root := range []string{"../relay", "../outbox", "../migrations", "../cmd"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || entry.IsDir() || ext != ".sql" && ext != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range token.FindAllString(string(text), -1) {
				if !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
			return err
		}))
	}
	return names
}

// plantIn plants everything in a schema of the session, and returns how much that is.
func plantIn(t testing.TB, conn *pgx.Conn, schema string, names []string) (planted int) {
	t.Helper()
	for statement := range strings.SplitSeq(plantedSQL, "\n-- next\n") {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, conn.QueryRow(t.Context(), "select planting.plant($1, $2)", schema, names).Scan(&planted))
	return planted
}

// requireNothingPlantedIsCalled fails with the name of what was called last.
func requireNothingPlantedIsCalled(t testing.TB, pool *pgxpool.Pool, doing string) {
	t.Helper()
	var called *string
	require.NoError(t, pool.QueryRow(t.Context(), `select case when is_called then (select signature from planting.planted where number = last_value) end
		from planting.called`).Scan(&called), "%s", doing)
	if called != nil {
		require.Fail(t, "a planted function was called", "%s: %s", doing, *called)
	}
}

// TestNothingPlantedIsCalled runs every command in a database with planted functions and operators.
func TestNothingPlantedIsCalled(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	broker := harness.NATS(t)
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			db := server.EmptyDatabase(t)
			names := namesInSQL(t)
			planter, err := pgx.Connect(t.Context(), db.URL)
			require.NoError(t, err)
			defer func() { _ = planter.Close(context.WithoutCancel(t.Context())) }()
			planted := plantIn(t, planter, "public", names)
			require.Greater(t, planted, 2000)

			requireCalled(t, planter, "select lower(int8range(1, 2))")
			requireCalled(t, planter, "select '{1}'::bigint[] || '{2}'::bigint[]")
			requireCalled(t, planter, "select quote_ident(current_user)")
			safe := *db // the test's own statements call nothing planted
			safe.Pool = connect(t, db.URL, func(c *pgxpool.Config) {
				c.ConnConfig.RuntimeParams["search_path"], c.ConnConfig.RuntimeParams["application_name"] = "pg_catalog", "safe"
			})
			run(t, safe.Pool, "select setval('planting.called', 1, false)")

			at, ready := db.URL, func() {}
			if way == "pooled" {
				at = harness.StartPgBouncer(t, server, db).URL
				// From then on public comes first, so that what is planted there is called even if pg_catalog has the very same.
				ready = func() {
					run(t, safe.Pool, "select planting.compare('public')")
					run(t, safe.Pool, fmt.Sprintf("alter database %s set search_path = public, pg_catalog", pgx.Identifier{databaseOf(t, safe.Pool)}.Sanitize()))
					run(t, safe.Pool, `select pg_terminate_backend(pid) from pg_stat_activity
						where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'safe'`)
					plantInAPool(t, at, names)
				}
			}
			everyCommand(t, &safe, at, broker, way == "direct", ready)
		})
	}
}

func databaseOf(t testing.TB, pool *pgxpool.Pool) (name string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "select current_database()").Scan(&name))
	return name
}

// requireCalled shows that an unpinned statement calls what is planted.
func requireCalled(t testing.TB, conn *pgx.Conn, statement string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement)
	require.ErrorContains(t, err, "planted", statement)
}

// plantInAPool plants in the temporary schema of a session of a pooler.
func plantInAPool(t testing.TB, url string, names []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url+"&default_query_exec_mode=exec")
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), "select planting.plant('pg_temp', $1)", names)
	require.NoError(t, err)
}

// everyCommand runs them all.
// ready is called once the schema is there.
func everyCommand(t *testing.T, db *harness.Database, at, broker string, ownRole bool, ready func()) {
	env, subject := ownStream(t, broker)
	owner := newCLI(t, at, env...)
	check := func(doing string) { t.Helper(); requireNothingPlantedIsCalled(t, db.Pool, doing) }
	do := func(c cli, args ...string) string {
		t.Helper()
		got := c.run(t, args...)
		check(strings.Join(args, " "))
		require.Zero(t, got.code, "%v: %s%s", args, got.out, got.err)
		return got.out
	}
	do(owner, "migrate", "up")
	do(owner, "migrate", "status")
	do(owner, "migrate", "down")
	do(owner, "migrate", "up")
	ready()

	operator, writer := owner, at
	var service role
	if ownRole {
		person := newRole(t, db)
		service = newRole(t, db)
		for function, role := range map[string]role{"grant_operator": person, "grant_writer": service} {
			_, err := connect(t, at).Exec(t.Context(), "select outbox."+function+"($1::text::regrole)", role.quoted())
			check(function)
			require.NoError(t, err)
		}
		_, err := connect(t, at).Exec(t.Context(), grantSubjects, service.quoted(), []string{subject + ".>"})
		check("outbox.grant_writer with subjects")
		require.NoError(t, err)
		operator, writer = newCLI(t, person.url, env...), service.url
	}
	relay := operator.start(t)
	relay.await(t, "this relay leads from now on")
	standby := operator.start(t)
	standby.await(t, "another relay leads")

	services := connect(t, writer, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec })
	published := 0
	write := func() {
		t.Helper()
		for range 3 {
			_, err := services.Exec(t.Context(), "select outbox.publish($1::text, '{}'::jsonb, key => 'k', headers => '{\"a\": \"b\"}'::jsonb)", subject+".sql")
			check("outbox.publish")
			require.NoError(t, err)
			_, err = services.Exec(t.Context(), "select outbox.publish_bytes($1::text, 'x'::bytea)", subject+".bytes")
			check("outbox.publish_bytes")
			require.NoError(t, err)
			require.NoError(t, outbox.PublishOutsideTx(t.Context(), services, outbox.Raw{Subject: subject + ".go"}, outbox.Raw{Subject: subject + ".go"}))
			check("the package outbox")
			published += 4
		}
	}
	write()
	do(operator, "publish", subject+".cli", "{}", "--key", "k")
	for range 3 { // unreadable headers: a dead letter each
		_, err := db.Pool.Exec(t.Context(), `alter table outbox.events drop constraint if exists events_headers_valid`)
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `insert into outbox.events (subject, key, headers, payload) values ($1, 'k', '{"a": 1}', '')`, subject+".bad")
		require.NoError(t, err)
	}
	await := func(doing string, done func() bool) {
		t.Helper()
		require.Eventually(t, func() bool { check(doing); return done() }, cliTimeout, 20*time.Millisecond, "%s: %s", doing, relay.logged())
	}
	await("dead letters", func() bool { return rowCount(t, db.Pool, "outbox.dead_letters") == 3 })
	await("settling", func() bool { return waiting(t, db.Pool) == 0 })

	status := do(operator, "status")
	require.Contains(t, status, "backlog")
	do(operator, "status", "--json")
	do(operator, "verify")
	do(operator, "verify", "--repair")
	do(operator, "dead", "list")
	do(operator, "dead", "list", "--json")
	var ids string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select string_agg(id::text, ' ' order by id) from outbox.dead_letters").Scan(&ids))
	id := func(i int) string { return strings.Fields(ids)[i] }
	do(operator, "dead", "show", id(0))
	do(operator, "dead", "retry", id(0), "--wait", "0s")
	do(operator, "dead", "discard", id(1), "--yes", "--note", "planted")
	do(operator, "replay", "--dry-run", "--new-ids", "--subject", subject+".sql")
	do(operator, "replay", "--new-ids", "--subject", subject+".sql")
	await("replaying", func() bool { return waiting(t, db.Pool) == 0 })

	code, _ := relay.stop(t)
	require.Zero(t, code)
	standby.await(t, "this relay leads from now on")
	write()
	await("taking over", func() bool { return waiting(t, db.Pool) == 0 })
	code, body := standby.get(t, "/readyz")
	require.Equal(t, 200, code, body)
	code, _ = standby.stop(t)
	require.Zero(t, code)
	if ownRole {
		_, err := services.Exec(t.Context(), "select outbox.publish('another.subject', '{}'::jsonb)")
		check("a subject that is refused")
		require.ErrorContains(t, err, "may not write subject another.subject")
		_, err = connect(t, at).Exec(t.Context(), "select outbox.revoke_writer($1::text::regrole)", service.quoted())
		check("outbox.revoke_writer")
		require.NoError(t, err)
	}
	if ownRole { // behind a pooler goose's own statements find what the pooler's sessions look into
		do(owner, "migrate", "down")
	}
	check("all of it")
}

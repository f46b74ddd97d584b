package integration_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/outbox"
)

// openSQL returns a pool of database/sql on url, closed when the test ends.
func openSQL(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func query[T any](t *testing.T, db *sql.DB, text string, args ...any) T {
	t.Helper()
	var value T
	require.NoError(t, db.QueryRowContext(t.Context(), text, args...).Scan(&value), text)
	return value
}

func mustExec(t *testing.T, db *sql.DB, text string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), text, args...)
	require.NoError(t, err, text)
}

// downTo undoes migrations until version is the current one.
func downTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	const current = "select max(version_id) from outbox.schema_version"
	for at := migrations.Latest(); at > version; at = query[int64](t, db, current) {
		step, err := migrations.Down(t.Context(), db, migrations.DownOptions{})
		require.NoError(t, err)
		require.Equal(t, at, step.Version)
	}
}

func TestUpAppliesEverythingOnceAndStatusTellsIt(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.EmptyPostgres(t).URL)
	db.SetMaxOpenConns(1) // it must not need a second connection while it holds the lock

	before, err := migrations.Status(t.Context(), db)
	require.NoError(t, err)
	assert.Zero(t, before.Current)
	for _, m := range before.Migrations {
		assert.Zero(t, m.AppliedAt, m.Name)
	}
	require.ErrorIs(t, migrations.Check(t.Context(), db), migrations.ErrOlderSchema)
	assert.False(t, query[bool](t, db, "select to_regnamespace('outbox') is not null"), "Status and Check change nothing")

	steps, err := migrations.Up(t.Context(), db)
	require.NoError(t, err)
	require.Len(t, steps, int(migrations.Latest()))
	assert.Equal(t, "events", steps[0].Name)

	after, err := migrations.Status(t.Context(), db)
	require.NoError(t, err)
	assert.Equal(t, migrations.Latest(), after.Current)
	assert.Equal(t, migrations.Latest(), after.Latest)
	for _, m := range after.Migrations {
		assert.WithinDuration(t, time.Now(), m.AppliedAt, 5*time.Minute, m.Name)
	}
	require.NoError(t, migrations.Check(t.Context(), db))

	again, err := migrations.Up(t.Context(), db)
	require.NoError(t, err)
	assert.Empty(t, again)
}

func TestUpByFiveAtOnceSucceedsForAll(t *testing.T) {
	t.Parallel()
	url := harness.EmptyPostgres(t).URL
	var starters sync.WaitGroup
	start := make(chan struct{})
	steps, errs := make([][]migrations.Step, 5), make([]error, 5)
	for i := range 5 {
		db := openSQL(t, url)
		require.NoError(t, db.PingContext(t.Context()))
		starters.Go(func() {
			<-start
			steps[i], errs[i] = migrations.Up(t.Context(), db)
		})
	}
	close(start)
	starters.Wait()

	var versions []int64
	for i := range 5 {
		require.NoError(t, errs[i])
		for _, step := range steps[i] {
			versions = append(versions, step.Version)
		}
	}
	assert.Len(t, versions, int(migrations.Latest()), "each migration is applied by one of the five: %v", versions)
	require.NoError(t, migrations.Check(t.Context(), openSQL(t, url)))
}

// A version table that was lost or restored from an older dump must not make a start fail, nor cost an event.
func TestEveryMigrationCanBeAppliedAgainOverItsOwnResult(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t)
	db := openSQL(t, server.URL)
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), server.Pool, outbox.Raw{Subject: "game.kept"}))
	bury(t, db)
	schema := func() string { return query[string](t, db, describeSchema) }
	before := schema()

	mustExec(t, db, "delete from outbox.schema_version where version_id > 0")
	steps, err := migrations.Up(t.Context(), db)
	require.NoError(t, err)
	assert.Len(t, steps, int(migrations.Latest()))
	assert.Equal(t, before, schema())
	assert.Equal(t, 2, query[int](t, db, "select (select count(*) from outbox.events) + (select count(*) from outbox.dead_letters)"))

	mustExec(t, db, "drop table outbox.schema_version")
	_, err = migrations.Up(t.Context(), db)
	require.NoError(t, err)
	assert.Equal(t, before, schema())
}

// describeSchema lists tables, columns, constraints, domains, functions, triggers and rights of schema outbox as one text.
const describeSchema = `
	select string_agg(line, E'\n' order by line) from (
		select format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) as line
		from information_schema.columns where table_schema = 'outbox' and table_name <> 'schema_version'
		union all
		select format('constraint %s on %s: %s', conname, coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text),
		              pg_get_constraintdef(oid))
		from pg_constraint where connamespace = 'outbox'::regnamespace
		                     and conrelid is distinct from to_regclass('outbox.schema_version')
		union all
		select format('function %s %s %s', oid::regprocedure, proacl, prosrc) from pg_proc where pronamespace = 'outbox'::regnamespace
		union all
		select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where tgrelid = 'outbox.events'::regclass and not tgisinternal
	) as lines`

// bury puts one dead letter into the table.
func bury(t *testing.T, db *sql.DB) {
	t.Helper()
	mustExec(t, db, `insert into outbox.dead_letters
		(id, event_id, subject, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
		values (1, gen_random_uuid(), 'game.dead', '', now(), 'refused', 'too bad', 1, now(), now())`)
}

func TestDownUndoesOneStepACallAndUpBringsAllBack(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.Postgres(t).URL)
	before := query[string](t, db, describeSchema)
	downTo(t, db, 0)

	assert.Equal(t, "schema_version", query[string](t, db, `select string_agg(relname, ',') from pg_class
		where relnamespace = 'outbox'::regnamespace and relkind = 'r'`), "nothing else is left")
	assert.Zero(t, query[int](t, db, "select count(*) from pg_proc where pronamespace = 'outbox'::regnamespace"))
	assert.Zero(t, query[int](t, db, "select count(*) from pg_type where typnamespace = 'outbox'::regnamespace and typtype = 'd'"))

	_, err := migrations.Down(t.Context(), db, migrations.DownOptions{})
	require.ErrorIs(t, err, migrations.ErrNothingApplied)
	_, err = migrations.Down(t.Context(), openSQL(t, harness.EmptyPostgres(t).URL), migrations.DownOptions{})
	require.ErrorIs(t, err, migrations.ErrNothingApplied)

	_, err = migrations.Up(t.Context(), db)
	require.NoError(t, err)
	assert.Equal(t, before, query[string](t, db, describeSchema))
}

func TestDownRefusesToDropRowsUnlessItIsForced(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t)
	db := openSQL(t, server.URL)
	db.SetMaxOpenConns(1) // so that a setting left behind would be seen below
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), server.Pool, outbox.Raw{Subject: "game.kept"}))
	bury(t, db)

	for _, c := range []struct {
		version int64
		table   string
	}{{3, "outbox.dead_letters"}, {1, "outbox.events"}} {
		for query[int64](t, db, "select max(version_id) from outbox.schema_version") > c.version {
			_, err := migrations.Down(t.Context(), db, migrations.DownOptions{})
			require.NoError(t, err)
		}
		_, err := migrations.Down(t.Context(), db, migrations.DownOptions{})
		require.ErrorIs(t, err, migrations.ErrHoldsRows)
		require.ErrorContains(t, err, c.table)
		assert.Equal(t, 1, query[int](t, db, "select count(*) from "+c.table), "refused, so nothing was lost")
		assert.Equal(t, c.version, query[int64](t, db, "select max(version_id) from outbox.schema_version"))

		step, err := migrations.Down(t.Context(), db, migrations.DownOptions{DropRows: true})
		require.NoError(t, err)
		assert.Equal(t, c.version, step.Version)
		assert.False(t, query[bool](t, db, "select to_regclass($1) is not null", c.table))
		assert.NotEqual(t, "on", query[string](t, db, "select coalesce(current_setting('outbox.drop_rows', true), '')"))
	}
}

// A lock request that waits makes every later writer wait behind it, so it must give up.
func TestDownGivesUpOnBusyWriters(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t)
	db := openSQL(t, server.URL)
	downTo(t, db, 1)
	tx, err := server.Pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "game.busy"}))

	_, err = migrations.Down(t.Context(), db, migrations.DownOptions{DropRows: true})
	require.ErrorContains(t, err, "a transaction holds the table for too long")
	require.NoError(t, tx.Commit(t.Context()))
	assert.Equal(t, 1, query[int](t, db, "select count(*) from outbox.events"))
}

func TestNewerSchemaIsLeftAloneWithBothVersionsNamed(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.Postgres(t).URL)
	newer := migrations.Latest() + 7
	mustExec(t, db, "insert into outbox.schema_version (version_id, is_applied) values ($1, true)", newer)

	_, up := migrations.Up(t.Context(), db)
	_, down := migrations.Down(t.Context(), db, migrations.DownOptions{DropRows: true})
	for name, err := range map[string]error{"up": up, "down": down, "check": migrations.Check(t.Context(), db)} {
		require.ErrorIs(t, err, migrations.ErrNewerSchema, name)
		var version *migrations.VersionError
		require.ErrorAs(t, err, &version, name)
		assert.Equal(t, migrations.VersionError{Database: newer, Binary: migrations.Latest()}, *version, name)
	}

	state, err := migrations.Status(t.Context(), db)
	require.NoError(t, err)
	assert.Equal(t, newer, state.Current)
	last := state.Migrations[len(state.Migrations)-1]
	assert.Equal(t, newer, last.Version)
	assert.Empty(t, last.Name)
	assert.NotZero(t, last.AppliedAt)
}

func TestUpReportsWhatItAppliedBeforeAFailure(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.EmptyPostgres(t).URL)
	mustExec(t, db, "create schema outbox")
	mustExec(t, db, "create function outbox.publish(text, jsonb, text, jsonb, uuid) returns int return 1")

	steps, err := migrations.Up(t.Context(), db)
	require.Error(t, err)
	require.Len(t, steps, 1)
	assert.Equal(t, "events", steps[0].Name)
	assert.Equal(t, int64(1), query[int64](t, db, "select max(version_id) from outbox.schema_version"))

	mustExec(t, db, "drop function outbox.publish(text, jsonb, text, jsonb, uuid)")
	rest, err := migrations.Up(t.Context(), db)
	require.NoError(t, err)
	assert.Len(t, rest, int(migrations.Latest())-1)
}

func TestUpWithoutTheRightToCreateASchemaSaysWhatToDo(t *testing.T) {
	t.Parallel()
	server := harness.EmptyPostgres(t)
	admin, role := openSQL(t, server.URL), newRole(t, server)
	db := openSQL(t, role.url)

	_, err := migrations.Up(t.Context(), db)
	require.ErrorContains(t, err, fmt.Sprintf("role %q lacks a right in database", role.name))
	next := fmt.Sprintf("create schema outbox authorization %q", role.name)
	require.ErrorContains(t, err, next)

	mustExec(t, admin, next) // the next step that the error named is enough
	_, err = migrations.Up(t.Context(), db)
	require.NoError(t, err)
	require.NoError(t, migrations.Check(t.Context(), db))
}

// TestUpRefusesTheSchemaOfAnotherRole, which could drop the schema with every event. A role needs no
// more than CREATE on the database to make it beforehand.
func TestUpRefusesTheSchemaOfAnotherRole(t *testing.T) {
	t.Parallel()
	const fake = `create table outbox.schema_version (id int, version_id bigint, is_applied boolean, tstamp timestamptz);
		insert into outbox.schema_version values (1, 1, true, now())`
	for name, planted := range map[string]string{"an empty schema": "", "a version that was never applied": fake} {
		for _, super := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, superuser %t", name, super), func(t *testing.T) {
				t.Parallel()
				server := harness.EmptyPostgres(t)
				admin, owner, game := openSQL(t, server.URL), newRole(t, server), newRole(t, server)
				database := query[string](t, admin, "select current_database()")
				mustExec(t, admin, "grant create on database "+database+" to "+owner.quoted())
				other := openSQL(t, owner.url)
				mustExec(t, other, "create schema outbox")
				mustExec(t, other, planted)
				mustExec(t, other, "grant all on schema outbox to public; grant all on all tables in schema outbox to public")
				db, migrator := openSQL(t, game.url), game.name
				if super {
					db, migrator = admin, query[string](t, admin, "select current_user")
				}

				_, err := migrations.Up(t.Context(), db)
				require.ErrorIs(t, err, migrations.ErrForeignSchema)
				var foreign *migrations.OwnerError
				require.ErrorAs(t, err, &foreign)
				require.Equal(t, owner.name, foreign.Owner)
				require.Equal(t, migrator, foreign.Role)
				made := query[bool](t, admin, "select to_regclass('outbox.schema_version') is not null")
				require.Equal(t, planted != "", made, "nothing is made in the schema")

				_, remedy, found := strings.Cut(foreign.Next(), "run: ")
				require.True(t, found)
				mustExec(t, admin, strings.Replace(remedy, "drop schema outbox;", "drop schema outbox cascade;", 1))
				_, err = migrations.Up(t.Context(), db)
				require.NoError(t, err)
			})
		}
	}
}

// TestUpGoesOnInATrustedSchema that was made beforehand for the role that migrates, or by a role that
// could drop everything anyway.
func TestUpGoesOnInATrustedSchema(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]string{
		"its own":        "create schema outbox authorization GAME",
		"of a group":     "grant OTHER to GAME; create schema outbox authorization OTHER",
		"of a superuser": "create schema outbox; grant all on schema outbox to GAME",
		"of the owner of the database": `alter database DB owner to OTHER; create schema outbox authorization OTHER;
			grant all on schema outbox to GAME`,
		"of whoever owns the database": `create schema outbox authorization pg_database_owner;
			grant all on schema outbox to GAME`,
		"of another, but migrated then": "create schema outbox authorization GAME",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := harness.EmptyPostgres(t)
			admin, other, game := openSQL(t, server.URL), newRole(t, server), newRole(t, server)
			mustExec(t, admin, strings.NewReplacer("GAME", game.quoted(), "OTHER", other.quoted(),
				"DB", query[string](t, admin, "select current_database()")).Replace(prepare))
			t.Cleanup(func() { // roles that own a database cannot be dropped
				_, err := server.Pool.Exec(context.Background(), "reassign owned by "+other.quoted()+" to current_user")
				assert.NoError(t, err)
			})
			db := openSQL(t, game.url)
			_, err := migrations.Up(t.Context(), db)
			require.NoError(t, err)
			if strings.HasSuffix(name, "then") {
				_, err = migrations.Down(t.Context(), db, migrations.DownOptions{})
				require.NoError(t, err)
				mustExec(t, admin, "alter schema outbox owner to "+other.quoted())
				mustExec(t, admin, "grant all on schema outbox to "+game.quoted())
				_, err = migrations.Up(t.Context(), db)
				require.NoError(t, err)
			}
		})
	}
}

func TestUpReadsNoViewInPlaceOfTheVersions(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.EmptyPostgres(t).URL)
	mustExec(t, db, `create schema outbox;
		create view outbox.schema_version as select 1 as version_id, 1 / 0 = 1 as is_applied`)
	_, err := migrations.Up(t.Context(), db)
	require.ErrorContains(t, err, "outbox.schema_version in database")
	require.ErrorContains(t, err, "is no table")
}

func TestUpToDateSchemaNeedsNoRightButToReadItsVersion(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t)
	admin, role := openSQL(t, server.URL), newRole(t, server)
	db := openSQL(t, role.url)

	require.ErrorContains(t, migrations.Check(t.Context(), db), "select outbox.grant_relay(")
	_, err := migrations.Status(t.Context(), db)
	require.ErrorContains(t, err, "select outbox.grant_relay(")

	mustExec(t, admin, "select outbox.grant_relay($1::text::regrole)", role.quoted())
	require.NoError(t, migrations.Check(t.Context(), db))
	steps, err := migrations.Up(t.Context(), db)
	require.NoError(t, err)
	assert.Empty(t, steps)
	_, err = migrations.Status(t.Context(), db)
	require.NoError(t, err)
	_, err = migrations.Down(t.Context(), db, migrations.DownOptions{})
	require.ErrorContains(t, err, "migrate as the owner of schema outbox")
}

func TestUpRefusesADatabaseThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	other := newDatabase(t, harness.EmptyPostgres(t), "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
	_, err := migrations.Up(t.Context(), openSQL(t, other))
	var refused *migrations.ServerError
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Problem, "has the encoding SQL_ASCII")
}

func TestOperatorsFindACommentOnEverything(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.Postgres(t).URL)
	assert.Empty(t, query[string](t, db, `
		select coalesce(string_agg(thing, ', '), '') from (
			select 'schema outbox' as thing where obj_description('outbox'::regnamespace, 'pg_namespace') is null
			union all
			select oid::regclass::text from pg_class
			where relnamespace = 'outbox'::regnamespace and relkind in ('r', 'v') and obj_description(oid, 'pg_class') is null
			union all
			select oid::regprocedure::text from pg_proc
			where pronamespace = 'outbox'::regnamespace and obj_description(oid, 'pg_proc') is null
			union all
			select oid::regtype::text from pg_type
			where typnamespace = 'outbox'::regnamespace and typtype = 'd' and obj_description(oid, 'pg_type') is null
			union all
			select attrelid::regclass || '.' || attname from pg_attribute
			where attrelid in ('outbox.events'::regclass, 'outbox.dead_letters'::regclass) and attnum > 0
			  and not attisdropped and col_description(attrelid, attnum) is null
		) as without_comment`))
}

// The relay's way to know which transactions are still in flight rests on CACHE 1, and each further index would
// cost every transaction of the game.
func TestEventsTableIsAsCheapAsTheRelayNeedsIt(t *testing.T) {
	t.Parallel()
	db := openSQL(t, harness.Postgres(t).URL)
	assert.Equal(t, int64(1), query[int64](t, db, "select seqcache from pg_sequence where seqrelid = 'outbox.events_id_seq'::regclass"))
	assert.Equal(t, "outbox.events_id_seq", query[string](t, db, "select pg_get_serial_sequence('outbox.events', 'id')"))
	assert.Equal(t, "outbox.events_pkey", query[string](t, db, `select string_agg(indexrelid::regclass::text, ',')
		from pg_index where indrelid = 'outbox.events'::regclass`))
}

package integration_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
)

// attempt is a statement and whether a role may run it.
type attempt struct {
	statement string
	allowed   bool
}

// try runs each attempt in a transaction of its own that is rolled back.
func try(t *testing.T, pool *pgxpool.Pool, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), a.statement)
		if a.allowed {
			assert.NoError(t, err, a.statement)
		} else {
			pgErr, ok := errors.AsType[*pgconn.PgError](err)
			assert.True(t, ok && pgErr.Code == "42501", "%s: want a refusal for lack of rights, got %v", a.statement, err)
		}
		require.NoError(t, tx.Rollback(t.Context()))
	}
}

const deadLetter = `insert into outbox.dead_letters
	(id, event_id, subject, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
	values (1, gen_random_uuid(), 'a', '', now(), 'refused', '', 1, now(), now())`

func TestWriterMayWriteEventsAndNothingElse(t *testing.T) {
	t.Parallel()
	_, writer := asWriter(t)
	try(t, writer, []attempt{
		{"insert into outbox.events (subject, payload) values ('a', '')", true},
		{"insert into outbox.events (event_id, subject, key, headers, payload) values (gen_random_uuid(), 'a', 'k', '{}', '')", true},
		{"select outbox.publish('a', '{}')", true},
		{"select outbox.publish_bytes('a', '')", true},

		{"insert into outbox.events (id, subject, payload) overriding system value values (1, 'a', '')", false},
		{"insert into outbox.events (subject, payload, created_at) values ('a', '', now())", false},
		{"insert into outbox.events (subject, payload) values ('a', '') returning id", false},
		{"insert into outbox.events (subject, payload) values ('a', '') returning event_id", false},
		{"insert into outbox.events (subject, payload) select subject, payload from outbox.events", false},
		{"select from outbox.events", false},
		{"select count(*) from outbox.events", false},
		{"select payload from outbox.events", false},
		{"update outbox.events set subject = 'b'", false},
		{"delete from outbox.events", false},
		{"truncate outbox.events", false},
		{"lock table outbox.events in access exclusive mode", false},
		{"alter table outbox.events drop constraint events_subject_valid", false},
		{"drop table outbox.events", false},
		{"create trigger t before insert on outbox.events for each row execute function suppress_redundant_updates_trigger()", false},
		{"create table outbox.mine (id int)", false},
		{"alter domain outbox.event_subject drop constraint subject_1_to_255_bytes", false},
		{"select nextval('outbox.events_id_seq')", false},
		{"select setval('outbox.events_id_seq', 1)", false},
		{"select last_value from outbox.events_id_seq", false},
		{"select from outbox.dead_letters", false},
		{deadLetter, false},
		{"delete from outbox.dead_letters", false},
		{"select from outbox.schema_version", false},
		{"insert into outbox.schema_version (version_id, is_applied) values (99, true)", false},
		{"select outbox.grant_writer(current_user::regrole)", false},
		{"select outbox.grant_relay(current_user::regrole)", false},
		{"create or replace function outbox.publish(text, jsonb, text, jsonb, uuid) returns uuid return null", false},
	})
}

func TestRelayMayMoveEventsAndNothingElse(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	role := newRole(t, db)
	_, err := db.Pool.Exec(t.Context(), "select outbox.grant_relay($1::text::regrole)", role.quoted())
	require.NoError(t, err)
	try(t, connect(t, role.url), []attempt{
		{"select id, event_id, subject, key, headers, payload, created_at from outbox.events", true},
		{"delete from outbox.events returning *", true},
		{"select last_value from outbox.events_id_seq", true},
		{"select * from outbox.dead_letters", true},
		{deadLetter, true},
		{deadLetter + " on conflict (id, event_id) do nothing", true},
		{"delete from outbox.dead_letters returning *", true},
		{"select max(version_id) from outbox.schema_version", true},

		{"insert into outbox.events (subject, payload) values ('a', '')", false},
		{"update outbox.events set subject = 'b'", false},
		{"truncate outbox.events", false},
		{"lock table outbox.events in access exclusive mode", true}, // Postgres allows it to whoever may delete
		{"drop table outbox.events", false},
		{"select nextval('outbox.events_id_seq')", false},
		{"select setval('outbox.events_id_seq', 1)", false},
		{"update outbox.dead_letters set error = ''", false},
		{"truncate outbox.dead_letters", false},
		{"insert into outbox.schema_version (version_id, is_applied) values (99, true)", false},
		{"update outbox.schema_version set version_id = 99", false},
		{"delete from outbox.schema_version", false},
		{"create table outbox.mine (id int)", false},
		{"select outbox.publish('a', '{}')", false},
		{"select outbox.publish_bytes('a', '')", false},
		{"select outbox.grant_writer(current_user::regrole)", false},
		{"select outbox.grant_relay(current_user::regrole)", false},
	})
}

func TestStrangerMayDoNothing(t *testing.T) {
	t.Parallel()
	try(t, connect(t, newRole(t, harness.Postgres(t)).url), []attempt{
		{"select from outbox.events", false},
		{"insert into outbox.events (subject, payload) values ('a', '')", false},
		{"select outbox.publish('a', '{}')", false},
		{"select from outbox.dead_letters", false},
		{"select from outbox.schema_version", false},
		{"select outbox.grant_writer(current_user::regrole)", false},
	})
}

// The right to look into the schema alone must not open the functions, which Postgres opens to everybody by default.
func TestRightToUseTheSchemaAloneOpensNothing(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	role := newRole(t, db)
	_, err := db.Pool.Exec(t.Context(), "grant usage on schema outbox to "+role.quoted())
	require.NoError(t, err)
	var attempts []attempt
	for _, call := range []string{"publish('a', '{}')", "publish_bytes('a', '')", "grant_writer(current_user::regrole)", "grant_relay(current_user::regrole)"} {
		attempts = append(attempts, attempt{"select outbox." + call, false})
	}
	pool := connect(t, role.url)
	try(t, pool, attempts)
	for _, a := range attempts {
		_, err := pool.Exec(t.Context(), a.statement)
		assert.Contains(t, requireState(t, err, "42501").Message, "permission denied for function")
	}
}

func TestGrantsCanBeRepeatedAndNeedARoleThatExists(t *testing.T) {
	t.Parallel()
	db, _ := asWriter(t)
	role := newRole(t, db)
	for _, grant := range []string{"grant_writer", "grant_relay"} {
		for range 2 {
			_, err := db.Pool.Exec(t.Context(), "select outbox."+grant+"($1::text::regrole)", role.quoted())
			require.NoError(t, err)
		}
		for _, nobody := range []string{"public", "no_such_role"} {
			_, err := db.Pool.Exec(t.Context(), "select outbox."+grant+"($1::text::regrole)", nobody)
			requireState(t, err, "42704")
		}
	}
	both := connect(t, role.url)
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), both, outbox.Raw{Subject: "game.both"}))
	assert.Len(t, storedEvents(t, both), 1)
}

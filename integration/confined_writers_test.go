package integration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// grantSubjects lets role $1 write subjects $2 only.
const grantSubjects = "select outbox.grant_writer($1::text::regrole, subjects => $2)"

// confine grants a role to write some subjects only.
func confine(t *testing.T, db *harness.Database, r role, subjects ...string) {
	t.Helper()
	run(t, db.Pool, grantSubjects, r.quoted(), subjects)
}

// writes reports whether a role may write a subject, in a transaction that is rolled back.
func writes(t *testing.T, pool *pgxpool.Pool, subject string) bool {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "select outbox.publish($1, '{}')", subject); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return true
	}
	requireConfined(t, err, subject)
	return false
}

// requireConfined fails unless an error is the refusal of a subject.
func requireConfined(t *testing.T, err error, subject string) {
	t.Helper()
	refused, ok := errors.AsType[*pgconn.PgError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "23514", refused.Code, "%v", err)
	require.Equal(t, "events_subject_allowed", refused.ConstraintName)
	require.Contains(t, refused.Message, "may not write subject "+subject)
}

// copyIn writes an event by COPY.
func copyIn(ctx context.Context, pool *pgxpool.Pool, subject string) error {
	_, err := pool.CopyFrom(ctx, pgx.Identifier{"outbox", "events"}, []string{"subject", "payload"},
		pgx.CopyFromRows([][]any{{subject, []byte("x")}}))
	return err
}

// TestAConfinedWriterMayWriteItsSubjects by the rules of NATS.
func TestAConfinedWriterMayWriteItsSubjects(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for _, c := range []struct {
		may      string
		yes, not []string
	}{
		{
			"game.paid", []string{"game.paid"},
			[]string{"game", "game.paid.late", "game.paidx", "xgame.paid", "game-paid", "Game.paid"},
		},
		{"game.*", []string{"game.paid", "game.é", "game.a-b"}, []string{"game", "game.paid.late"}},
		{"*.paid", []string{"game.paid"}, []string{"paid", "game.x.paid"}},
		{"game.*.paid", []string{"game.x.paid"}, []string{"game.paid", "game.x.y.paid", "game.x.paid.y"}},
		{"game.>", []string{"game.paid", "game.paid.late"}, []string{"game", "gamex.paid"}},
		{"*.*.>", []string{"a.b.c", "a.b.c.d"}, []string{"a.b"}},
		{"game.a+b", []string{"game.a+b"}, []string{"game.aab", "game.ab"}},
		{`game.(x|y)[z]{1}^$?\.q`, []string{`game.(x|y)[z]{1}^$?\.q`}, []string{"game.x", "game.xz.q"}},
		{"***.a", nil, nil}, // no wildcard stands within a token, so this one is refused below
	} {
		r := newRole(t, db)
		if c.yes == nil {
			_, err := db.Pool.Exec(t.Context(), grantSubjects, r.quoted(), []string{c.may})
			require.ErrorContains(t, err, "no subject of NATS")
			continue
		}
		confine(t, db, r, c.may)
		pool := connect(t, r.url)
		for _, subject := range c.yes {
			assert.True(t, writes(t, pool, subject), "%s allows %s", c.may, subject)
		}
		for _, subject := range c.not {
			assert.False(t, writes(t, pool, subject), "%s does not allow %s", c.may, subject)
		}
	}
}

// TestAConfinedWriterIsRefusedOnEveryWay into the table, with every row of the statement.
func TestAConfinedWriterIsRefusedOnEveryWay(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	r := newRole(t, db)
	confine(t, db, r, "game.billing.>", "game.*.paid")
	pool, ctx := connect(t, r.url), t.Context()
	exec := func(sql string) func(string) error {
		return func(subject string) error {
			_, err := pool.Exec(ctx, sql, subject)
			return err
		}
	}
	for name, write := range map[string]func(subject string) error{
		"insert": exec("insert into outbox.events (subject, payload) values ($1, '')"),
		"many rows": exec(`insert into outbox.events (subject, payload)
			select case i when 7 then $1 else 'game.billing.x' end, '' from generate_series(1, 9) as i`),
		"publish":        exec("select outbox.publish($1, '{}')"),
		"publish_bytes":  exec("select outbox.publish_bytes($1, '')"),
		"a common table": exec("with written as (insert into outbox.events (subject, payload) values ($1, '')) select"),
		"copy": func(subject string) error {
			return copyIn(ctx, pool, subject)
		},
		"the package outbox": func(subject string) error { return outbox.PublishOutsideTx(ctx, pool, outbox.Raw{Subject: subject}) },
		"and database/sql": func(subject string) error {
			return outbox.PublishSQLOutsideTx(ctx, openSQL(t, r.url), outbox.Raw{Subject: subject})
		},
	} {
		before := rowCount(t, db.Pool, "outbox.events")
		requireConfined(t, write("game.shop.sold"), "game.shop.sold")
		require.Equal(t, before, rowCount(t, db.Pool, "outbox.events"), name)
		require.NoError(t, write("game.billing.refunded"), name)
		require.NoError(t, write("game.shop.paid"), name)
		require.Greater(t, rowCount(t, db.Pool, "outbox.events"), before+1, name)
	}
	try(t, pool, []attempt{
		{"select from outbox.events", false},
		{"alter table outbox.events disable trigger confine", false},
		{"drop trigger confine on outbox.events", false},
		{"update outbox.confined_writers set pattern = '.'", false},
		{"insert into outbox.confined_writers values (current_user::regrole, '{>}', '.')", false},
		{"delete from outbox.confined_writers", false},
		{"create or replace function outbox.confine() returns trigger language plpgsql as 'begin return null; end'", false},
		{"drop function outbox.confine() cascade", false},
		{"drop type outbox.confined cascade", false},
		{"select outbox.grant_writer(current_user::regrole, subjects => array['>'])", false},
		{"select outbox.revoke_writer(current_user::regrole)", false},
		{"set session_replication_role = replica", false},
	})
	_, err := pool.Exec(ctx, "revoke usage on type outbox.confined from "+r.quoted())
	require.NoError(t, err) // a warning: who may not grant it may not revoke it
	require.False(t, writes(t, pool, "game.shop.sold"))
}

// TestConfiningAWriterChangesNothingForOthers neither for those who were granted before and after,
// nor for who operates, nor for the owner; and nothing before the first.
func TestConfiningAWriterChangesNothingForOthers(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	fitted := func() int {
		return rowCount(t, db.Pool, "pg_trigger where tgrelid = 'outbox.events'::regclass and tgname = 'confine'")
	}
	before, after, byHand, confined := newRole(t, db), newRole(t, db), newRole(t, db), newRole(t, db)
	operator := newRelayRole(t, db)
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", before.quoted())
	run(t, db.Pool, "grant usage on schema outbox to "+byHand.quoted())
	run(t, db.Pool, "grant insert on outbox.events to "+byHand.quoted())
	require.Zero(t, fitted())
	confine(t, db, confined, "game.billing.>")
	require.Equal(t, 1, fitted())
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", after.quoted())

	for _, r := range []role{before, after, byHand, operator} {
		pool := connect(t, r.url)
		run(t, pool, "insert into outbox.events (subject, payload) values ('game.shop.sold', '')")
		require.NoError(t, copyIn(t.Context(), pool, "game.a"))
	}
	run(t, db.Pool, "delete from outbox.events")
	requireRelays(t, db, operator.url, func(added func(int)) {
		requireCommands(t, operator.url, added)
		newCLI(t, confined.url).mustRun(t, "publish", "game.billing.x", "{}")
		added(1)
		got := newCLI(t, confined.url).run(t, "publish", "game.shop.x", "{}")
		require.NotZero(t, got.code)
		require.Contains(t, got.err, "may not write subject game.shop.x, only game.billing.>")
	})
	warnings, err := relay.Warnings(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Empty(t, warnings)
	run(t, db.Pool, "alter table outbox.events disable trigger confine")
	warnings, err = relay.Warnings(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "trigger confine on outbox.events is missing or disabled")
	confine(t, db, confined, "game.billing.>")
	require.False(t, writes(t, connect(t, confined.url), "game.shop.sold"), "the grant has enabled it again")
}

// TestAConfinedWriterIsGrantedAgain with other subjects, which replace the first, or all of them.
func TestAConfinedWriterIsGrantedAgain(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	r := newRole(t, db)
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", r.quoted())
	pool := connect(t, r.url)
	require.True(t, writes(t, pool, "game.c"))
	confine(t, db, r, "game.a")
	require.True(t, writes(t, pool, "game.a"))
	require.False(t, writes(t, pool, "game.b"))
	confine(t, db, r, "game.b")
	require.False(t, writes(t, pool, "game.a"))
	require.True(t, writes(t, pool, "game.b"))

	_, err := db.Pool.Exec(t.Context(), "select outbox.grant_writer($1::text::regrole)", r.quoted())
	require.ErrorContains(t, err, "may write only game.b")
	require.False(t, writes(t, pool, "game.a"))
	for _, subjects := range [][]string{
		nil, {}, {"game.>.x"}, {"game.*x"}, {"game..x"}, {"game."}, {".game"}, {""}, {"game x"}, {"game.a", "game."},
	} {
		_, err := db.Pool.Exec(t.Context(), grantSubjects, r.quoted(), subjects)
		refused, ok := errors.AsType[*pgconn.PgError](err)
		require.True(t, ok && refused.Code == "22023", "%v: %v", subjects, err)
	}
	require.False(t, writes(t, pool, "game.a"))
	confine(t, db, r, ">")
	require.True(t, writes(t, pool, "game.a"))
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", r.quoted())

	confine(t, db, r, "game.a")
	run(t, db.Pool, "select outbox.revoke_writer($1::text::regrole)", r.quoted())
	try(t, pool, []attempt{
		{"insert into outbox.events (subject, payload) values ('game.a', '')", false},
		{"select outbox.publish('game.a', '{}')", false},
		{"select outbox.publish_bytes('game.a', '')", false},
		{"select from outbox.confined_writers", false},
	})
	require.Zero(t, rowCount(t, db.Pool, "outbox.confined_writers"))
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", r.quoted())
	require.True(t, writes(t, pool, "game.c"))
}

// TestAMemberOfConfinedWritersIsConfined to what all of its roles may write, whatever else it was granted.
func TestAMemberOfConfinedWritersIsConfined(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	a, b, free, member := newRole(t, db), newRole(t, db), newRole(t, db), newRole(t, db)
	confine(t, db, a, "game.a")
	confine(t, db, b, "game.b")
	run(t, db.Pool, "select outbox.grant_writer($1::text::regrole)", free.quoted())
	run(t, db.Pool, "grant "+a.quoted()+", "+b.quoted()+", "+free.quoted()+" to "+member.quoted())
	pool := connect(t, member.url)
	require.True(t, writes(t, pool, "game.a"))
	require.True(t, writes(t, pool, "game.b"))
	require.False(t, writes(t, pool, "game.c"))
	acting := connect(t, member.url, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["role"] = a.name })
	require.True(t, writes(t, acting, "game.a"))
	require.False(t, writes(t, acting, "game.b"))
}

// TestTheFirstConfinedWriterIsGrantedBesideAnOpenWriter who keeps the table for long: the others
// wait for a moment at most.
func TestTheFirstConfinedWriterIsGrantedBesideAnOpenWriter(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	r := newRole(t, db)
	open, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = open.Rollback(context.WithoutCancel(t.Context())) }()
	require.NoError(t, outbox.Publish(t.Context(), open, outbox.Raw{Subject: "game.open"}))
	granted := make(chan error, 1)
	go func() {
		_, err := db.Pool.Exec(t.Context(), "select outbox.grant_writer($1::text::regrole, array['game.a'])", r.quoted())
		granted <- err
	}()
	require.Eventually(t, func() bool {
		return rowCount(t, db.Pool, `pg_locks where mode = 'ShareRowExclusiveLock' and not granted
			and relation = 'outbox.events'::regclass`) > 0
	}, 20*time.Second, time.Millisecond)
	for range 20 {
		began := time.Now()
		publishOne(t, db, "game.other")
		require.Less(t, time.Since(began), time.Second)
	}
	require.NoError(t, open.Commit(t.Context()))
	require.NoError(t, <-granted)
	require.False(t, writes(t, connect(t, r.url), "game.b"))
}

// TestDownKeepsWritersConfined unless it is forced to let them write everything.
func TestDownKeepsWritersConfined(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	r := newRole(t, db)
	confine(t, db, r, "game.a")
	sql := openSQL(t, db.URL)
	downTo(t, sql, 17)
	_, err := migrations.Down(t.Context(), sql, migrations.DownOptions{})
	require.ErrorIs(t, err, migrations.ErrHoldsRows)
	require.ErrorContains(t, err, "confined_writers")
	pool := connect(t, r.url)
	require.False(t, writes(t, pool, "game.b"))
	_, err = migrations.Down(t.Context(), sql, migrations.DownOptions{DropRows: true})
	require.NoError(t, err)
	require.True(t, writes(t, pool, "game.b"))
}

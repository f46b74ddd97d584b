package main

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

func TestUnreachablePostgres(t *testing.T) {
	t.Parallel()
	url := "postgres://relay:hunter2@" + closedPort(t) + "/game?sslmode=disable"
	for _, args := range [][]string{
		{"run", "--admin.listen="}, {"run", "--migrate"}, {"migrate", "up"}, {"migrate", "down"}, {"migrate", "status"},
		{"publish", "game.x", "{}"}, {"status", "--admin.listen="},
		{"dead", "list"}, {"dead", "show", "1"}, {"dead", "retry", "1"}, {"dead", "discard", "1", "--note=x"},
	} {
		got := call{args: args, env: []string{"OUTBOX_POSTGRES_URL=" + url}}.run(t)
		require.Equal(t, codeFailure, got.code, args)
		require.Contains(t, got.err, "outbox-relay: cannot connect to Postgres\n  cause: ", args)
		require.Contains(t, got.err, "connection refused", args)
		require.Contains(t, got.err, "value: postgres.url is postgres://relay:[hidden]@127.0.0.1", args)
		require.Contains(t, got.err, "next:  check that the server runs", args)
		require.NotContains(t, got.err+got.out, "hunter2", args)
	}
}

func TestNextStepAfterARefusedConnection(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"28P01": "check user and password, and that pg_hba.conf lets the user in from here",
		"28000": "check user and password, and that pg_hba.conf lets the user in from here",
		"3D000": "create the database, or correct its name",
		"53300": "raise max_connections of the server, or close other connections",
		"57P03": "wait until the server has started or recovered, then start again",
		"XX000": "see the log of the server",
	} {
		require.Equal(t, want, nextAfter(&pgconn.PgError{Code: code}), code)
	}
	require.Contains(t, nextAfter(errors.New("refused")), "check that the server runs")
}

func TestExplainCheck(t *testing.T) {
	t.Parallel()
	settings := settingsWith(t, "OUTBOX_POSTGRES_URL=postgres://relay:hunter2@db/game")
	cause := errors.New("cause")
	err := explainCheck(settings, &relay.CheckError{Text: "no table", Next: "migrate", Err: cause})
	require.Equal(t, &failure{
		what: "no table", cause: cause, value: "postgres.url is postgres://relay:[hidden]@db/game (OUTBOX_POSTGRES_URL)", next: "migrate",
	}, err)
	require.Equal(t, cause, explainCheck(settings, cause))
}

func TestExplainMigration(t *testing.T) {
	t.Parallel()
	settings := settingsWith(t)
	for next, err := range map[string]error{
		"use a version of outbox-relay that is at least as new as the schema":                      &migrations.VersionError{Database: 9, Binary: 1},
		"let the relay publish what waits, or lose it with: outbox-relay migrate down --drop-rows": migrations.ErrHoldsRows,
		"migrate as a role that may create a schema in this database, or that owns schema outbox":  &pgconn.PgError{Code: "42501"},
		"": migrations.ErrNothingApplied,
	} {
		f := (*failure)(nil)
		require.ErrorAs(t, explainMigration(settings, "what", err), &f)
		require.Equal(t, next, f.next)
		require.ErrorIs(t, f, err)
	}
}

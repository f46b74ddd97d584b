package main

import (
	"errors"
	"fmt"
	"io"
	"net"
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
		{"migrate", "up"}, {"migrate", "down"}, {"migrate", "status"},
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
		"57P03": "wait until the server has started or recovered",
		"XX000": "see the log of the server",
	} {
		require.Equal(t, want, nextAfter(&pgconn.PgError{Code: code}), code)
	}
	require.Contains(t, nextAfter(errors.New("refused")), "check that the server runs")
}

func TestWhichTroubleOfPostgresMayPass(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"57P03": true, "57P01": true, "53300": true, "53400": true, "08006": true, "08P01": true, "25006": true, "55P03": true, "58030": true,
		"28P01": false, "28000": false, "3D000": false, "42501": false, "42P01": false, "22023": false, "0A000": false, "XX000": false,
	} {
		require.Equal(t, want, mayPass(fmt.Errorf("connect: %w", &pgconn.PgError{Code: code})), code)
	}
	for text, want := range map[string]bool{
		"dial tcp 10.0.0.9:5432: connect: connection refused": true,
		"dial tcp 10.0.0.9:5432: connect: no route to host":   true,
		"hostname resolving error: lookup db: no such host":   true,
		"failed to receive message: unexpected EOF":           true,
		"tls error: server refused TLS connection":            false,
		"tls error: tls: failed to verify certificate: x509":  false,
		"tls error: remote error: tls: certificate required":  false,
		"dial tcp 10.0.0.9:5432: i/o timeout, tls error: EOF": true,
	} {
		require.Equal(t, want, mayPass(errors.New(text)), text)
	}
	refusedTLS := errors.New("tls error: server refused TLS connection")
	require.True(t, mayPass(fmt.Errorf("connect: %w", errors.Join(refusedTLS, io.ErrUnexpectedEOF))), "it was tried without, too")
	require.False(t, mayPass(fmt.Errorf("connect: %w", errors.Join(refusedTLS, refusedTLS))))
	for _, message := range []string{"no such database: game", "no such user: relay"} { // PgBouncer
		unknown := &pgconn.PgError{Code: "08P01", Message: message}
		require.False(t, mayPass(unknown), message)
		require.Contains(t, nextAfter(unknown), "auth_file", message)
	}
	settings := settingsWith(t)
	for problem, want := range map[relay.Problem]bool{
		relay.ProblemReadOnly: true, relay.ProblemUnreachable: true, relay.ProblemNoSchema: false, relay.ProblemOldSchema: false,
		relay.ProblemNewSchema: false, relay.ProblemNoRight: false, relay.ProblemSequence: false,
	} {
		f := (*failure)(nil)
		require.ErrorAs(t, explainCheck(settings, &relay.CheckError{Problem: problem, Err: errors.New("gone")}), &f)
		require.Equal(t, want, f.passes, problem)
	}
	for err, want := range map[error]bool{
		&pgconn.PgError{Code: "57P01"}: true, io.ErrUnexpectedEOF: true, &net.OpError{Op: "read", Err: io.EOF}: true,
		&pgconn.PgError{Code: "42501"}: false, migrations.ErrNewerSchema: false, errors.New("odd"): false,
	} {
		f := (*failure)(nil)
		require.ErrorAs(t, explainMigration(settings, "cannot migrate", err), &f)
		require.Equal(t, want, f.passes, err)
	}
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
		"migrate as the owner if the outbox is to be that role's; otherwise let an administrator run: " +
			`drop schema outbox; create schema outbox authorization "game"`: &migrations.OwnerError{Owner: "other", Role: "game"},
		"": migrations.ErrNothingApplied,
	} {
		f := (*failure)(nil)
		require.ErrorAs(t, explainMigration(settings, "what", err), &f)
		require.Equal(t, next, f.next)
		require.ErrorIs(t, f, err)
	}
}

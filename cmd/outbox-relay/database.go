package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// connectTimeout bounds the first connection to Postgres.
const connectTimeout = 10 * time.Second

// openPool returns a pool whose first connection works. The caller closes it.
func openPool(ctx context.Context, settings *config.Settings) (*pgxpool.Pool, error) {
	pool, err := newPool(ctx, settings)
	if err != nil {
		return nil, err
	}
	if err := ping(ctx, pool, settings); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// newPool returns a pool that has no connection yet, and reads postgres.url again before each one. The caller closes it.
func newPool(ctx context.Context, settings *config.Settings) (*pgxpool.Pool, error) {
	url := func() (string, error) {
		cfg, err := settings.Reread("postgres")
		return cfg.Postgres.URL, err
	}
	pool, err := relay.NewPoolFrom(ctx, url, settings.Config.Postgres.MaxConns)
	if err != nil {
		return nil, unreachable(settings, err)
	}
	return pool, nil
}

// ping makes sure that a connection works.
func ping(ctx context.Context, pool *pgxpool.Pool, settings *config.Settings) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := pool.Ping(ctx); err != nil {
		return unreachable(settings, err)
	}
	return nil
}

// openDB returns a database/sql handle whose first connection works, for the migrations. The caller closes it.
func openDB(ctx context.Context, settings *config.Settings) (*sql.DB, error) {
	cfg, err := relay.ConnConfig(settings.Config.Postgres.URL)
	if err != nil {
		return nil, unreachable(settings, err)
	}
	db := stdlib.OpenDB(*cfg)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // nothing was opened; the error that counts is the ping's
		return nil, unreachable(settings, err)
	}
	return db, nil
}

// unreachable explains why no connection to Postgres could be made.
func unreachable(settings *config.Settings, err error) error {
	return &failure{
		what: "cannot connect to Postgres", cause: err, value: settings.Show("postgres.url"), next: nextAfter(err), passes: mayPass(err),
	}
}

// passing are the classes of errors of Postgres that may pass: of the connection (what poolers say of a server that is down has one of
// them too), of a server that is a standby, out of resources, starting or stopping, and of its system.
var passing = []string{"08", "25", "40", "53", "55", "57", "58"}

// mayPass reports whether the cause of an error of Postgres, or of the connection to it, may pass without a person. That is so of what the
// network says, but for encryption: a server that is not up yet has no address in some networks.
func mayPass(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		if strings.Contains(refused.Message, "startup parameter") || unknownToPooler(refused) {
			return false // a pooler does not know an option of the URL, the database or the user
		}
		return slices.ContainsFunc(passing, func(class string) bool { return strings.HasPrefix(refused.Code, class) })
	}
	return slices.ContainsFunc(attempts(err), func(attempt error) bool {
		// The alerts of TLS, and what the client refuses, have no common type.
		text := attempt.Error()
		return !strings.Contains(text, "tls: ") && !strings.Contains(text, "server refused TLS connection")
	})
}

// unknownToPooler reports whether PgBouncer does not know the database or the user, which it says with
// the code of a broken protocol.
func unknownToPooler(refused *pgconn.PgError) bool {
	return refused.Code == "08P01" &&
		(strings.HasPrefix(refused.Message, "no such database") || strings.HasPrefix(refused.Message, "no such user"))
}

// attempts returns the errors of a connection to more than one address, or with and without encryption.
func attempts(err error) []error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if joined, ok := inner.(interface{ Unwrap() []error }); ok {
			return joined.Unwrap()
		}
	}
	return []error{err}
}

// nextAfter says what to do about a connection that failed. The codes are those of
// https://www.postgresql.org/docs/current/errcodes-appendix.html.
func nextAfter(err error) string {
	refused := (*pgconn.PgError)(nil)
	switch {
	case errors.As(err, &refused):
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return "let postgres.url name the primary; if it does, " + writable
	case errors.Is(err, pgconn.ErrReadWriteConnection), errors.Is(err, pgconn.ErrPrimaryConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return "let postgres.url name the primary, for instance with target_session_attrs=read-write"
	default:
		return "check that the server runs and accepts connections from here, and that host and port are right"
	}
	switch {
	case strings.HasPrefix(refused.Code, "28"):
		return "check user and password, and that pg_hba.conf lets the user in from here"
	case refused.Code == "3D000":
		return "create the database, or correct its name"
	case refused.Code == "53300":
		return "raise max_connections of the server, or close other connections"
	case refused.Code == "42704", refused.Code == "22023":
		return "correct or remove the option of postgres.url that the cause names"
	case unknownToPooler(refused):
		return "add it to the settings of the pooler ([databases] or auth_file of PgBouncer), or correct its name in postgres.url"
	case refused.Code == "08P01":
		return "remove the option that the cause names from postgres.url, or let the pooler ignore it (ignore_startup_parameters of PgBouncer)"
	case refused.Code == "57014":
		return "raise statement_timeout of the role or of the database"
	case refused.Code == "57P03":
		return "wait until the server has started or recovered"
	}
	return "see the log of the server"
}

// writable lets sessions write that the relay cannot change, because a pooler opens them.
const writable = "run: alter role <the user of postgres.url> set default_transaction_read_only = off"

// explainCheck turns what relay.Check found into a failure with its next step.
func explainCheck(settings *config.Settings, err error) error {
	found := (*relay.CheckError)(nil)
	if !errors.As(err, &found) {
		return err
	}
	passes := found.Problem == relay.ProblemReadOnly || found.Problem == relay.ProblemUnreachable && mayPass(found.Err)
	return &failure{what: found.Text, cause: found.Err, value: settings.Show("postgres.url"), next: found.Next, passes: passes}
}

// explainMigration gives the errors of the migrations their next step.
func explainMigration(settings *config.Settings, what string, err error) error {
	f := &failure{what: what, cause: err, value: settings.Show("postgres.url")}
	refused, foreign := (*pgconn.PgError)(nil), (*migrations.OwnerError)(nil)
	switch {
	case errors.Is(err, migrations.ErrNewerSchema):
		f.next = "use a version of outbox-relay that is at least as new as the schema"
	case errors.As(err, &foreign):
		f.next = foreign.Next()
	case errors.Is(err, migrations.ErrHoldsRows):
		f.next = "let the relay publish what waits, or lose it with: outbox-relay migrate down --drop-rows"
	case errors.As(err, &refused) && refused.Code == "25006":
		f.next = writable + "; or connect to the server itself, where the session is made writable"
	case errors.As(err, &refused) && refused.Code == "42501":
		f.next = "migrate as a role that may create a schema in this database, or that owns schema outbox"
	case refused != nil, errors.As(err, new(net.Error)), errors.Is(err, io.ErrUnexpectedEOF):
		f.passes = mayPass(err)
	}
	return f
}

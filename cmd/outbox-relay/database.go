package main

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
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

// newPool returns a pool that has no connection yet. The caller closes it.
func newPool(ctx context.Context, settings *config.Settings) (*pgxpool.Pool, error) {
	pool, err := relay.NewPool(ctx, settings.Config.Postgres.URL, settings.Config.Postgres.MaxConns)
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
	cfg, err := pgx.ParseConfig(settings.Config.Postgres.URL)
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
		what: "cannot connect to Postgres", cause: err, value: settings.Show("postgres.url"), next: nextAfter(err),
	}
}

// nextAfter says what to do about a connection that failed. The codes are those of
// https://www.postgresql.org/docs/current/errcodes-appendix.html.
func nextAfter(err error) string {
	refused := (*pgconn.PgError)(nil)
	if !errors.As(err, &refused) {
		return "check that the server runs and accepts connections from here, and that host and port are right"
	}
	switch {
	case strings.HasPrefix(refused.Code, "28"):
		return "check user and password, and that pg_hba.conf lets the user in from here"
	case refused.Code == "3D000":
		return "create the database, or correct its name"
	case refused.Code == "53300":
		return "raise max_connections of the server, or close other connections"
	case refused.Code == "57P03":
		return "wait until the server has started or recovered, then start again"
	}
	return "see the log of the server"
}

// explainCheck turns what relay.Check found into a failure with its next step.
func explainCheck(settings *config.Settings, err error) error {
	found := (*relay.CheckError)(nil)
	if !errors.As(err, &found) {
		return err
	}
	return &failure{what: found.Text, cause: found.Err, value: settings.Show("postgres.url"), next: found.Next}
}

// explainMigration gives the errors of the migrations their next step.
func explainMigration(settings *config.Settings, what string, err error) error {
	f := &failure{what: what, cause: err, value: settings.Show("postgres.url")}
	refused := (*pgconn.PgError)(nil)
	switch {
	case errors.Is(err, migrations.ErrNewerSchema):
		f.next = "use a version of outbox-relay that is at least as new as the schema"
	case errors.Is(err, migrations.ErrHoldsRows):
		f.next = "let the relay publish what waits, or lose it with: outbox-relay migrate down --drop-rows"
	case errors.As(err, &refused) && refused.Code == "42501":
		f.next = "migrate as a role that may create a schema in this database, or that owns schema outbox"
	}
	return f
}

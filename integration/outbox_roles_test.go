package integration_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// role is a login role of one test. Roles belong to the whole server, so each has a name of its own.
type role struct{ name, url string }

func (r role) quoted() string { return pgx.Identifier{r.name}.Sanitize() }

var roles, extraDatabases atomic.Int64

func newRole(t *testing.T, db *harness.Database) role {
	t.Helper()
	name := fmt.Sprintf("Role %d of %d", roles.Add(1), os.Getpid()) // a name that must be quoted, to see that it is
	quoted := pgx.Identifier{name}.Sanitize()
	_, err := db.Pool.Exec(t.Context(), "create role "+quoted+" login password 'outbox'")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.Pool.Exec(context.Background(), "drop owned by "+quoted+" cascade; drop role "+quoted)
		assert.NoError(t, err)
	})
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.User = url.UserPassword(name, "outbox")
	return role{name: name, url: u.String()}
}

// newDatabase creates a further database, with options of CREATE DATABASE, beside db and returns its URL.
func newDatabase(t *testing.T, db *harness.Database, options string) string {
	t.Helper()
	name := fmt.Sprintf("extra_%d_%d", extraDatabases.Add(1), os.Getpid())
	_, err := db.Pool.Exec(t.Context(), "create database "+name+" template template0 "+options)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.Pool.Exec(context.Background(), "drop database "+name+" with (force)")
		assert.NoError(t, err)
	})
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.Path = name
	return u.String()
}

// connect opens a pool, closed when the test ends. change may alter its settings.
func connect(t *testing.T, url string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	for _, f := range change {
		f(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// asWriter returns a database and a pool whose role was given outbox.grant_writer, and nothing else.
func asWriter(t *testing.T) (*harness.Database, *pgxpool.Pool) {
	t.Helper()
	db := harness.Postgres(t)
	role := newRole(t, db)
	_, err := db.Pool.Exec(t.Context(), "select outbox.grant_writer($1::text::regrole)", role.quoted())
	require.NoError(t, err)
	return db, connect(t, role.url)
}

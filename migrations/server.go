package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// oldestServer is the first version that is tested, as server_version_num writes it.
const oldestServer = 140000

// ServerError is a server or database that cannot hold the schema, whatever the migrations do.
type ServerError struct {
	// Problem is what is wrong, with the value found. Next is what to do about it.
	Problem, Next string
}

func (e *ServerError) Error() string { return fmt.Sprintf("migrations: %s: %s", e.Problem, e.Next) }

// server is what has to be known about the other side before anything is changed there.
type server struct {
	version                         int // as in server_version_num: 150018 is 15.18
	versionText, encoding, user, db string
	standby, planted                bool // planted: outbox.schema_version is no table
}

func inspect(ctx context.Context, db *sql.DB) (server, error) {
	var s server
	err := db.QueryRowContext(ctx, `
		select pg_catalog.current_setting('server_version_num')::pg_catalog.int4, pg_catalog.current_setting('server_version'),
		    pg_catalog.current_setting('server_encoding'), current_user::pg_catalog.text,
		    pg_catalog.current_database()::pg_catalog.text, pg_catalog.pg_is_in_recovery(),
		    exists (
		        select from pg_catalog.pg_class as c
		        join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) c.relnamespace
		        where n.nspname operator(pg_catalog.=) 'outbox' and c.relname operator(pg_catalog.=) 'schema_version'
		          and c.relkind operator(pg_catalog.<>) 'r'
		    )`).
		Scan(&s.version, &s.versionText, &s.encoding, &s.user, &s.db, &s.standby, &s.planted)
	if err != nil {
		return server{}, fmt.Errorf("migrations: ask the server for its version: %w", err)
	}
	return s, s.check()
}

// check returns a [*ServerError] or nil.
func (s server) check() error {
	switch {
	case s.version < oldestServer:
		return &ServerError{
			Problem: "the server is Postgres " + s.versionText,
			Next:    "use Postgres 14 or newer",
		}
	case s.encoding != "UTF8":
		return &ServerError{
			Problem: fmt.Sprintf("database %q has the encoding %s", s.db, s.encoding),
			Next:    "use a database made with: create database ... encoding 'UTF8' template template0",
		}
	case s.standby:
		return &ServerError{
			Problem: fmt.Sprintf("the server of database %q is a standby, which is read-only", s.db),
			Next:    "connect to the primary, for instance with target_session_attrs=read-write in the URL",
		}
	case s.planted:
		return &ServerError{
			Problem: fmt.Sprintf("outbox.schema_version in database %q is no table: reading it could run code of others", s.db),
			Next:    "find out who made it, and drop it",
		}
	}
	return nil
}

// checkOwner returns an [*OwnerError] where schema outbox belongs to a role that the migrating one must
// not trust. migrated says that migrations were applied to it.
func (s server) checkOwner(ctx context.Context, tx *sql.Tx, migrated bool) error {
	var owner string
	switch err := tx.QueryRowContext(ctx, foreignOwner, migrated).Scan(&owner); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("ask who owns schema outbox: %w", err)
	}
	return &OwnerError{Owner: owner, Role: s.user, Database: s.db}
}

// explain adds to an error of Postgres what to do about it, and says what was being done.
func (s server) explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrForeignSchema):
		return err
	case hasCode(err, codeInsufficientPrivilege):
		return fmt.Errorf("migrations: %s: %w; role %q lacks a right in database %q: migrate as the owner of schema outbox or, "+
			"where there is none yet, let an administrator run: create schema outbox authorization %s",
			doing, err, s.user, s.db, pgx.Identifier{s.user}.Sanitize())
	case hasCode(err, codeNotInPrerequisiteState):
		return fmt.Errorf("migrations: %s: %w: %w", doing, ErrHoldsRows, err)
	case hasCode(err, codeLockNotAvailable):
		return fmt.Errorf("migrations: %s: %w; a transaction holds the table for too long: end it, stop the writers, or try again", doing, err)
	}
	return fmt.Errorf("migrations: %s: %w", doing, err)
}

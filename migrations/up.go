package migrations

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
)

var (
	//go:embed schema_version.sql
	createVersionTable string
	//go:embed owner.sql
	foreignOwner string
)

// pin lets the statements of a transaction find every name in pg_catalog alone. Each section of a
// migration begins with it too: who may create functions and operators elsewhere could otherwise
// have them called by whoever migrates.
const pin = "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"

// createLock is the advisory lock that guards the creation of the schema. It differs from [migrateLock] on purpose: this one
// is waited for inside a transaction, and must never be held for long.
const createLock = migrateLock + 1

// Up applies every migration that the database lacks, and returns those that it applied itself: none if another process was
// faster or the schema is up to date. Where the schema is up to date, it needs no right but to read outbox.schema_version.
//
// It returns an error that matches [ErrNewerSchema] if the database is ahead of this binary, an
// [*OwnerError] if another role made the schema, and a [*ServerError] if the server cannot be used. When
// a migration fails, those before it stay applied and are returned beside the error.
func Up(ctx context.Context, db *sql.DB) ([]Step, error) {
	server, err := inspect(ctx, db)
	if err != nil {
		return nil, err
	}
	current, err := Current(ctx, db)
	if err != nil {
		return nil, err
	}
	switch {
	case current > Latest():
		return nil, &VersionError{Database: current, Binary: Latest()}
	case current == Latest():
		return nil, nil
	}
	if err := createSchema(ctx, db, server, current); err != nil {
		return nil, server.explain("migrate up", err)
	}
	steps, err := migrate(ctx, db)
	return steps, server.explain("migrate up", err)
}

func migrate(ctx context.Context, db *sql.DB) ([]Step, error) {
	provider, err := newProvider(db, DownOptions{})
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results = partial.Applied
	}
	return stepsOf(results), err
}

// createSchema makes the schema and in it the table of versions, where they are missing. It changes
// nothing in a schema that another role owns.
func createSchema(ctx context.Context, db *sql.DB, s server, current int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after the commit it does nothing, before it the first error counts
	if _, err := tx.ExecContext(ctx, pin); err != nil {
		return fmt.Errorf("set the search path: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "select pg_advisory_xact_lock($1)", createLock); err != nil {
		return fmt.Errorf("wait for the lock: %w", err)
	}
	// It is checked before, for a right to create the table may be missing there. It is checked after, for
	// another role may create the schema in between.
	if err := s.checkOwner(ctx, tx, current > 0); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, createVersionTable); err != nil {
		return fmt.Errorf("create schema outbox: %w", err)
	}
	if err := s.checkOwner(ctx, tx, current > 0); err != nil {
		return err
	}
	return tx.Commit()
}

func stepsOf(results []*goose.MigrationResult) []Step {
	var steps []Step
	for _, result := range results {
		version := result.Source.Version
		steps = append(steps, Step{Version: version, Name: nameOf(version), Took: result.Duration})
	}
	return steps
}

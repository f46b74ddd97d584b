package migrations

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// DownOptions are the settings of [Down].
type DownOptions struct {
	// DropRows lets Down drop a table that still holds events or dead letters. They are lost. Default false: it refuses.
	DropRows bool
}

// Down undoes the newest migration, one a call. After the last one the schema holds nothing but outbox.schema_version.
//
// It returns [ErrNothingApplied] if there is nothing to undo, an error that matches [ErrHoldsRows] if the table to drop holds
// rows, and one that matches [ErrNewerSchema] if the newest migration is not known to this binary. It gives up after
// 3 seconds of waiting for busy writers, rather than have new writers wait behind it.
func Down(ctx context.Context, db *sql.DB, opts DownOptions) (Step, error) {
	server, err := inspect(ctx, db)
	if err != nil {
		return Step{}, err
	}
	current, err := Current(ctx, db)
	if err != nil {
		return Step{}, err
	}
	switch {
	case current > Latest():
		return Step{}, &VersionError{Database: current, Binary: Latest()}
	case current == 0:
		return Step{}, ErrNothingApplied
	}
	step, err := undo(ctx, db, opts)
	return step, server.explain("migrate down", err)
}

func undo(ctx context.Context, db *sql.DB, opts DownOptions) (Step, error) {
	provider, err := newProvider(db, opts)
	if err != nil {
		return Step{}, err
	}
	result, err := provider.Down(ctx)
	if err != nil {
		return Step{}, err
	}
	return stepsOf([]*goose.MigrationResult{result})[0], nil
}

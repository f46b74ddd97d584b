package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// State is the answer of [Status].
type State struct {
	// Current is the version of the database, 0 if it has no schema "outbox". Latest is the newest that this binary knows.
	Current, Latest int64
	// Migrations are all versions by rising version, applied and pending, those included that only the database knows.
	Migrations []Migration
}

// Status reports which migrations were applied and which are pending. It changes nothing.
func Status(ctx context.Context, db *sql.DB) (State, error) {
	applied, err := appliedAt(ctx, db)
	if err != nil {
		return State{}, fmt.Errorf("migrations: read the status: %w", err)
	}
	state := State{Latest: Latest(), Migrations: make([]Migration, 0, len(known()))}
	for _, m := range known() {
		for _, a := range applied {
			if a.Version == m.Version {
				m.AppliedAt = a.AppliedAt
			}
		}
		state.Migrations = append(state.Migrations, m)
	}
	for _, a := range applied {
		state.Current = max(state.Current, a.Version)
		if a.Version > state.Latest {
			state.Migrations = append(state.Migrations, a)
		}
	}
	return state, nil
}

// Current returns the version of the database: 0 if it has no schema "outbox" or nothing was applied. It needs no right
// but to read outbox.schema_version.
func Current(ctx context.Context, db *sql.DB) (int64, error) {
	var version int64
	err := db.QueryRowContext(ctx,
		"select coalesce(pg_catalog.max(version_id), 0) from outbox.schema_version where is_applied").Scan(&version)
	if hasCode(err, codeUndefinedTable) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("migrations: read the version: %w", withGrantHint(err))
	}
	return version, nil
}

// Check returns nil if the schema is the one that this binary needs. Otherwise the error is a [*VersionError], which matches
// [ErrOlderSchema] or [ErrNewerSchema] and says what to do.
func Check(ctx context.Context, db *sql.DB) error {
	current, err := Current(ctx, db)
	if err != nil {
		return err
	}
	if current != Latest() {
		return &VersionError{Database: current, Binary: Latest()}
	}
	return nil
}

// appliedAt lists what the database says was applied, by rising version.
func appliedAt(ctx context.Context, db *sql.DB) ([]Migration, error) {
	rows, err := db.QueryContext(ctx, `select version_id, tstamp from outbox.schema_version
		where is_applied and version_id > 0 order by version_id`)
	if hasCode(err, codeUndefinedTable) {
		return nil, nil
	}
	if err != nil {
		return nil, withGrantHint(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err below has already told what went wrong
	var list []Migration
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return nil, err
		}
		list = append(list, Migration{Version: version, Name: nameOf(version), AppliedAt: at})
	}
	return list, rows.Err()
}

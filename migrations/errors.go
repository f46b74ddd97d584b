package migrations

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNewerSchema is matched by the [*VersionError] of [Up], [Down] and [Check] when the database is ahead of this binary. Install a
// binary at least as new as the one that migrated the database.
var ErrNewerSchema = errors.New("the schema is newer than this binary")

// ErrOlderSchema is matched by the [*VersionError] of [Check] when migrations are pending. Call [Up].
var ErrOlderSchema = errors.New("the schema is older than this binary")

// ErrHoldsRows is matched by the error of [Down] when the table to drop holds rows. Deal with them, or set
// [DownOptions].DropRows to lose them.
var ErrHoldsRows = errors.New("the table to drop holds rows")

// ErrNothingApplied is returned by [Down] when no migration is left to undo.
var ErrNothingApplied = errors.New("migrations: nothing to undo: no migration is applied")

// VersionError says that the schema is not the one that this binary needs. It matches [ErrNewerSchema] or [ErrOlderSchema].
type VersionError struct {
	// Database is the version found, 0 if there is no schema at all. Binary is the version that this binary needs.
	Database, Binary int64
}

func (e *VersionError) Error() string {
	if e.Database > e.Binary {
		return fmt.Sprintf("migrations: schema outbox has version %d, this binary knows only up to %d: install a newer outbox-relay",
			e.Database, e.Binary)
	}
	return fmt.Sprintf("migrations: schema outbox has version %d, this binary needs %d: run outbox-relay migrate up",
		e.Database, e.Binary)
}

// Is reports whether target is the sentinel for the direction of the mismatch.
func (e *VersionError) Is(target error) bool {
	return e.Database > e.Binary && target == ErrNewerSchema || e.Database < e.Binary && target == ErrOlderSchema
}

// ErrForeignSchema is matched by the [*OwnerError] of [Up]. Migrate as the owner of the schema, or remove the schema.
var ErrForeignSchema = errors.New("schema outbox belongs to another role")

// OwnerError says that schema "outbox" was there before the first migration and belongs to a role that
// the migrating one must not trust: it could drop the schema with every event. It matches
// [ErrForeignSchema].
type OwnerError struct {
	// Owner is the owner of the schema. Role is the role that migrates, in Database.
	Owner, Role, Database string
}

func (e *OwnerError) Error() string {
	return fmt.Sprintf("migrations: schema outbox in database %q belongs to role %q, which could drop it with every event, "+
		"and role %q migrates: %s", e.Database, e.Owner, e.Role, e.Next())
}

// Next is what to do about it.
func (e *OwnerError) Next() string {
	return fmt.Sprintf("migrate as the owner if the outbox is to be that role's; otherwise let an administrator run: "+
		"drop schema outbox; create schema outbox authorization %s", pgx.Identifier{e.Role}.Sanitize())
}

// Is reports whether target is [ErrForeignSchema].
func (e *OwnerError) Is(target error) bool { return target == ErrForeignSchema }

// Codes of https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	codeUndefinedTable         = "42P01"
	codeInsufficientPrivilege  = "42501"
	codeNotInPrerequisiteState = "55000"
	codeLockNotAvailable       = "55P03"
)

func hasCode(err error, code string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == code
}

// withGrantHint adds the next step to a refusal to read outbox.schema_version.
func withGrantHint(err error) error {
	if !hasCode(err, codeInsufficientPrivilege) {
		return err
	}
	return fmt.Errorf("%w; let the owner of the schema run: select outbox.grant_relay('<this role>')", err)
}

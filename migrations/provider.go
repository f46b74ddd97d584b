package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const versionTable = "outbox.schema_version"

// migrateLock is the advisory lock that lets one process migrate at a time: the ASCII codes of "outbox". It is not goose's
// default, so that the migrations of a service do not wait for these.
const migrateLock int64 = 0x6f7574626f78

// A process that finds the lock taken asks again every second, for five minutes. It does not block in the server, where
// its snapshot would hold up a concurrent index build.
const (
	lockPeriod = time.Second
	lockTries  = 300
)

func newProvider(db *sql.DB, opts DownOptions) (*goose.Provider, error) {
	dir, err := fs.Sub(files, "sql")
	if err != nil {
		return nil, fmt.Errorf("open the embedded files: %w", err)
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithTableName(versionTable),
		goose.WithSessionLocker(newLocker(opts)),
		goose.WithDisableGlobalRegistry(true))
}

func newLocker(opts DownOptions) lock.SessionLocker {
	if opts.DropRows {
		return rowDropper{locker{}}
	}
	return locker{}
}

// locker holds [migrateLock] for a session. That of goose does not name the type of its parameter,
// nor the schema of the function.
type locker struct{}

// SessionLock implements [lock.SessionLocker].
func (locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for range lockTries {
		locked := false
		err := conn.QueryRowContext(ctx, "select pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8)", migrateLock).Scan(&locked)
		if err != nil || locked {
			return err
		}
		select {
		case <-time.After(lockPeriod):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("another process has migrated for %s and goes on", lockTries*lockPeriod)
}

// SessionUnlock implements [lock.SessionLocker].
func (locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "select pg_catalog.pg_advisory_unlock($1::pg_catalog.int8)", migrateLock)
	return err
}

// rowDropper sets outbox.drop_rows, which the SQL of a migration asks for before it drops rows. It is a locker because
// goose runs the migrations on the very session that it locks, and offers no other way to reach that session.
type rowDropper struct{ lock.SessionLocker }

func (l rowDropper) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := l.SessionLocker.SessionLock(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "set outbox.drop_rows = 'on'"); err != nil {
		return errors.Join(err, l.SessionLocker.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return nil
}

// SessionUnlock takes the permission back, for the session returns to the caller's pool.
func (l rowDropper) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "reset outbox.drop_rows")
	return errors.Join(err, l.SessionLocker.SessionUnlock(ctx, conn))
}

package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

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
	lockPeriodSeconds = 1
	lockTries         = 300
)

// newProvider is called for each run, because the retry counter of goose's locker is used up for good.
func newProvider(db *sql.DB, opts DownOptions) (*goose.Provider, error) {
	dir, err := fs.Sub(files, "sql")
	if err != nil {
		return nil, fmt.Errorf("open the embedded files: %w", err)
	}
	locker, err := newLocker(opts)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithTableName(versionTable),
		goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true))
}

func newLocker(opts DownOptions) (lock.SessionLocker, error) {
	locker, err := lock.NewPostgresSessionLocker(
		lock.WithLockID(migrateLock),
		lock.WithLockTimeout(lockPeriodSeconds, lockTries))
	if err != nil {
		return nil, fmt.Errorf("create the lock: %w", err)
	}
	if opts.DropRows {
		return rowDropper{locker}, nil
	}
	return locker, nil
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

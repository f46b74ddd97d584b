package outbox

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLTx is what [PublishSQL] needs: a transaction of package database/sql. *sql.Tx has it, and so do
// the transactions of most ORMs. *sql.DB and *sql.Conn do not.
type SQLTx interface {
	SQLDB
	Commit() error
	Rollback() error
}

// DB is what [PublishOutsideTx] needs. *pgxpool.Pool, *pgxpool.Conn and *pgx.Conn have it.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// SQLDB is what [PublishSQLOutsideTx] needs. *sql.DB and *sql.Conn have it, with the driver of pgx,
// with lib/pq or with pgdriver.
type SQLDB interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Writer publishes events with settings of its own. The zero value is what the functions of this
// package use. A Writer may be used by many goroutines.
type Writer struct {
	// TraceContext reads the W3C trace context out of ctx; an empty or invalid traceparent means that
	// there is none. Nil means: what [ContextWithTrace] put into ctx.
	TraceContext func(ctx context.Context) (traceparent, tracestate string)
}

// Publish writes events into the outbox in the transaction tx, in one round trip and in the order of
// the arguments. The relay publishes them after the commit. After a rollback they do not exist.
//
// A pool or a connection does not compile: see [PublishOutsideTx]. A transaction that has ended is
// an error, [pgx.ErrTxClosed].
//
// It returns a [*ValidationError] for an event that could never be published, and errors of the
// database as they are, wrapped; find a *pgconn.PgError with [errors.As]. Without events it writes
// nothing.
func Publish(ctx context.Context, tx pgx.Tx, events ...Event) error {
	return Writer{}.Publish(ctx, tx, events...)
}

// PublishSQL does with package database/sql what [Publish] does with pgx. A transaction that Commit
// or Rollback has ended is an error, [sql.ErrTxDone]. One that a statement such as "commit" has ended
// is not noticed, because database/sql does not tell.
func PublishSQL(ctx context.Context, tx SQLTx, events ...Event) error {
	return Writer{}.PublishSQL(ctx, tx, events...)
}

// PublishOutsideTx writes events that belong to no transaction of the caller. It commits them
// itself, all or none, before it returns. A rollback of the caller does not undo them: for events
// that tell of a change in the database, use [Publish].
//
// A connection inside a transaction is refused, for its rollback would undo the events.
func PublishOutsideTx(ctx context.Context, db DB, events ...Event) error {
	return Writer{}.PublishOutsideTx(ctx, db, events...)
}

// PublishSQLOutsideTx does with package database/sql what [PublishOutsideTx] does with pgx. It refuses
// a *sql.Tx, and with the driver of pgx also a *sql.Conn inside a transaction.
func PublishSQLOutsideTx(ctx context.Context, db SQLDB, events ...Event) error {
	return Writer{}.PublishSQLOutsideTx(ctx, db, events...)
}

// Publish does what the function [Publish] does, with the settings of w.
func (w Writer) Publish(ctx context.Context, tx pgx.Tx, events ...Event) error {
	if err := requireTx(tx); err != nil {
		return err
	}
	return w.insert(ctx, tx, events)
}

// PublishSQL does what the function [PublishSQL] does, with the settings of w.
func (w Writer) PublishSQL(ctx context.Context, tx SQLTx, events ...Event) error {
	if err := requireTx(tx); err != nil {
		return err
	}
	return w.insertSQL(ctx, tx, events)
}

// PublishOutsideTx does what the function [PublishOutsideTx] does, with the settings of w.
func (w Writer) PublishOutsideTx(ctx context.Context, db DB, events ...Event) error {
	if err := requireNoTx(db); err != nil {
		return err
	}
	return w.insert(ctx, db, events)
}

// PublishSQLOutsideTx does what the function [PublishSQLOutsideTx] does, with the settings of w.
func (w Writer) PublishSQLOutsideTx(ctx context.Context, db SQLDB, events ...Event) error {
	if err := requireNoTx(db); err != nil {
		return err
	}
	return w.insertSQL(ctx, db, events)
}

func (w Writer) insert(ctx context.Context, db DB, events []Event) error {
	rows, err := encodeAll(w.traceFrom(ctx), events)
	if err != nil || len(rows) == 0 {
		return err
	}
	query, args := statement(rows, arrays)
	_, err = db.Exec(ctx, query, args...)
	return explain(err)
}

func (w Writer) insertSQL(ctx context.Context, db SQLDB, events []Event) error {
	rows, err := encodeAll(w.traceFrom(ctx), events)
	if err != nil || len(rows) == 0 {
		return err
	}
	query, args := statement(rows, arrayLiterals)
	_, err = db.ExecContext(ctx, query, args...)
	return explain(err)
}

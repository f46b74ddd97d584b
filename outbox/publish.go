package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// DB is what [Publish] needs. pgx.Tx, *pgxpool.Pool, *pgxpool.Conn and *pgx.Conn have it.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// SQLDB is what [PublishSQL] needs. *sql.Tx, *sql.DB and *sql.Conn have it, with the driver of pgx or with lib/pq.
type SQLDB interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Writer publishes events with settings of its own. The zero value is what the functions [Publish] and [PublishSQL] use. A
// Writer may be used by many goroutines.
type Writer struct {
	// TraceContext reads the W3C trace context out of ctx; an empty or invalid traceparent means that there is none.
	// Nil means: what [ContextWithTrace] put into ctx.
	TraceContext func(ctx context.Context) (traceparent, tracestate string)
}

// Publish writes events into the outbox, in one round trip and in the order of the arguments. They are published when the
// transaction commits. Given a pool or a connection and not a transaction, it commits the events itself, all or none.
//
// It returns a [*ValidationError] for an event that could never be published, and errors of the database as they are,
// wrapped; find a *pgconn.PgError with [errors.As]. Without events it does nothing.
func Publish(ctx context.Context, db DB, events ...Event) error {
	return Writer{}.Publish(ctx, db, events...)
}

// PublishSQL does with package database/sql what [Publish] does with pgx.
func PublishSQL(ctx context.Context, db SQLDB, events ...Event) error {
	return Writer{}.PublishSQL(ctx, db, events...)
}

// Publish does what the function [Publish] does, with the settings of w.
func (w Writer) Publish(ctx context.Context, db DB, events ...Event) error {
	rows, err := encodeAll(w.traceFrom(ctx), events)
	if err != nil || len(rows) == 0 {
		return err
	}
	query, args := statement(rows, arrays)
	_, err = db.Exec(ctx, query, args...)
	return explain(err)
}

// PublishSQL does what the function [PublishSQL] does, with the settings of w.
func (w Writer) PublishSQL(ctx context.Context, db SQLDB, events ...Event) error {
	rows, err := encodeAll(w.traceFrom(ctx), events)
	if err != nil || len(rows) == 0 {
		return err
	}
	query, args := statement(rows, arrayLiterals)
	_, err = db.ExecContext(ctx, query, args...)
	return explain(err)
}

// explain adds to an error of the database what to do about it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var state interface{ SQLState() string } // of pgx, and of lib/pq too
	if errors.As(err, &state) {
		switch state.SQLState() {
		case "42P01":
			return fmt.Errorf("outbox: publish: %w; create the schema with: outbox-relay migrate up", err)
		case "42501":
			return fmt.Errorf("outbox: publish: %w; let the owner of the schema run: select outbox.grant_writer('<this role>')", err)
		}
	}
	return fmt.Errorf("outbox: publish: %w", err)
}

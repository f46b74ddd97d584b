package relay

import (
	"cmp"
	"context"
	_ "embed" // the statement is a file
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed sql/pin.sql
var pinSQL string

// Pin returns db with a search path of pg_catalog for each statement. Where a session looks into
// other schemas too, whoever may create functions and operators there could have them called by our
// statements. The sessions of [NewPool] look into none, but those of a pooler belong to others too.
// What is neither a pool nor a connection is returned as it is.
func Pin(db Queryer) Queryer {
	if l, ok := db.(link); ok {
		return pinned{l}
	}
	return db
}

// PinTx does what [Pin] does, for a transaction.
func PinTx(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, pinSQL)
	return err
}

// pinned is a pool or a connection.
type pinned struct{ link link }

// Query implements [Queryer].
func (p pinned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	conn, release, err := connOf(ctx, p.link)
	if err != nil {
		return nil, err
	}
	if !isPinned(conn) {
		return queryBehind(ctx, conn, release, statement{sql: pinSQL}, statement{sql, args})
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		release()
		return nil, err
	}
	return &answer{Rows: rows, end: func(err error) error { release(); return err }}, nil
}

// Exec implements [Queryer].
func (p pinned) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	rows, err := p.Query(ctx, sql, args...)
	return finish(rows, err)
}

// What a connection remembers beside what the driver does.
const (
	pinnedKey    = "outbox-relay pinned"    // its session has our search path
	describedKey = "outbox-relay described" // which statements the driver has had described under our search path
)

// markPinned notes that the session of a connection has our search path.
func markPinned(conn *pgconn.PgConn) { conn.CustomData()[pinnedKey] = true }

func isPinned(conn *pgx.Conn) bool { return conn.PgConn().CustomData()[pinnedKey] != nil }

// described returns the statements that the driver has had described on a connection under our search path.
func described(conn *pgx.Conn) map[string]bool {
	known, ok := conn.PgConn().CustomData()[describedKey].(map[string]bool)
	if !ok {
		known = make(map[string]bool)
		conn.PgConn().CustomData()[describedKey] = known
	}
	return known
}

// connOf returns a connection of a pool, or the connection itself, until release is called.
func connOf(ctx context.Context, link link) (conn *pgx.Conn, release func(), err error) {
	switch link := link.(type) {
	case *pgxpool.Pool:
		acquired, err := link.Acquire(ctx)
		if err != nil {
			return nil, nil, err
		}
		return acquired.Conn(), acquired.Release, nil
	case *pgxpool.Conn:
		return link.Conn(), func() {}, nil
	case *pgx.Conn:
		return link, func() {}, nil
	}
	return nil, nil, fmt.Errorf("%T is neither a pool nor a connection", link)
}

type statement struct {
	sql  string
	args []any
}

// queryBehind runs two statements in one transaction, of which the first sets the search path, and
// returns the answer to the second. That takes one round trip, but not the first time on a
// connection of a pooler: the driver has a statement described before it sends any, and what the
// names in it mean must be asked under our search path.
func queryBehind(ctx context.Context, conn *pgx.Conn, release func(), first, then statement) (pgx.Rows, error) {
	known := described(conn)
	end := func(err error) error {
		if err != nil {
			delete(known, then.sql) // the driver forgets it too
		}
		release()
		return err
	}
	if known[then.sql] || isPinned(conn) {
		batch := &pgx.Batch{}
		batch.Queue(first.sql, first.args...)
		batch.Queue(then.sql, then.args...)
		results := conn.SendBatch(ctx, batch)
		_, err := results.Exec()
		var rows pgx.Rows
		if err == nil {
			rows, err = results.Query()
		}
		if err != nil {
			_ = results.Close() // the same error
			return nil, end(err)
		}
		return &answer{Rows: rows, end: func(err error) error { return end(cmp.Or(results.Close(), err)) }}, nil
	}
	_, err := conn.Exec(ctx, "begin;"+pinSQL) // in one round trip, see pin.sql
	if err == nil {
		_, err = conn.Exec(ctx, first.sql, first.args...)
	}
	var rows pgx.Rows
	if err == nil {
		rows, err = conn.Query(ctx, then.sql, then.args...)
	}
	if err != nil {
		rollBack(ctx, conn)
		return nil, end(err)
	}
	return &answer{Rows: rows, end: func(err error) error {
		if err != nil {
			rollBack(ctx, conn)
			return end(err)
		}
		known[then.sql] = true
		_, err = conn.Exec(ctx, "commit")
		return end(err)
	}}, nil
}

// rollBack ends a transaction, or the connection if that does not work: the error that counts came first.
func rollBack(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		_ = conn.Close(ctx)
	}
}

// finish reads an answer to its end.
func finish(rows pgx.Rows, err error) (pgconn.CommandTag, error) {
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	rows.Close()
	return rows.CommandTag(), rows.Err()
}

// answer is the answer to a statement. It ends with what comes after it, which may fail too.
type answer struct {
	pgx.Rows
	end  func(error) error // called once, with the error of the answer
	done bool
	err  error
}

func (a *answer) Next() bool {
	if a.Rows.Next() {
		return true
	}
	a.Close()
	return false
}

func (a *answer) Close() {
	if a.done {
		return
	}
	a.done = true
	a.Rows.Close()
	a.err = a.end(a.Rows.Err())
}

func (a *answer) Err() error {
	if err := a.Rows.Err(); err != nil {
		return err
	}
	return a.err
}

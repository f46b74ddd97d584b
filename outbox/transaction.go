package outbox

import (
	"errors"
	"reflect"

	"github.com/jackc/pgx/v5"
)

var (
	errNilTx = errors.New("outbox: publish: the transaction is nil; pass the one that Begin returned")
	errNilDB = errors.New("outbox: publish: the database handle is nil")
	errInTx  = errors.New("outbox: publish: the connection is inside a transaction, " +
		"whose rollback would undo the events; " +
		"use Publish or PublishSQL with that transaction, or another connection")
)

// requireTx returns an error if tx is nil or has ended. A pool and a connection did not compile. A
// tx whose transaction was ended by a statement, such as Exec(ctx, "commit"), did: pgx does not see
// that, and would write the events outside a transaction.
func requireTx(tx any) error {
	switch {
	case isNil(tx):
		return errNilTx
	case txStatus(tx) == 'I':
		return explain(pgx.ErrTxClosed)
	}
	return nil
}

// requireNoTx returns an error if db is nil, a transaction, or a connection inside one.
func requireNoTx(db any) error {
	if isNil(db) {
		return errNilDB
	}
	_, isTx := db.(SQLTx)
	if status := txStatus(db); isTx || status == 'T' || status == 'E' {
		return errInTx
	}
	return nil
}

func isNil(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// txStatus returns the status of the connection of db: 'I' outside a transaction, 'T' inside one,
// 'E' inside a failed one, and 0 where it cannot be known: of a pool, a *sql.Tx, another driver.
func txStatus(db any) (status byte) {
	defer func() { _ = recover() }() // a test double: the Conn of pgxmock panics, others return nil
	switch db := db.(type) {
	case *pgx.Conn:
		return db.PgConn().TxStatus()
	case interface{ Conn() *pgx.Conn }: // pgx.Tx, *pgxpool.Conn, and the driver's connection below
		return txStatus(db.Conn())
	case interface{ Raw(f func(any) error) error }: // *sql.Conn
		_ = db.Raw(func(conn any) error { status = txStatus(conn); return nil })
	}
	return status
}

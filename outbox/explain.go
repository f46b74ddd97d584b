package outbox

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// explain adds to an error of the database what to do about it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if next := nextStep(err); next != "" {
		return fmt.Errorf("outbox: publish: %w; %s", err, next)
	}
	return fmt.Errorf("outbox: publish: %w", err)
}

func nextStep(err error) string {
	if errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, sql.ErrTxDone) {
		return "nothing was written: publish before the transaction ends"
	}
	switch sqlState(err) {
	case "42P01": // undefined_table
		return "create the schema with: outbox-relay migrate up"
	case "42501": // insufficient_privilege
		return "let the owner of the schema run: select outbox.grant_writer('<this role>')"
	case "42P02": // undefined_parameter
		return "this handle formats queries itself and drops their arguments: " +
			"pass what it wraps, with bun tx.Tx or db.DB"
	}
	return ""
}

// sqlState returns the SQLSTATE in err, empty for none.
func sqlState(err error) string {
	var state interface{ SQLState() string } // of pgx and of lib/pq
	if errors.As(err, &state) {
		return state.SQLState()
	}
	var fields interface{ Field(code byte) string } // of bun's pgdriver
	if errors.As(err, &fields) {
		return fields.Field('C')
	}
	return ""
}

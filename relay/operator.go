package relay

import (
	"context"
	_ "embed" // the statement is a file
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/check_operator.sql
var checkOperatorSQL string

// CheckOperator is [Check] for a person who works on the outbox by hand: the role needs the rights of outbox.grant_operator. A
// non-nil error is a [*CheckError].
func CheckOperator(ctx context.Context, db Queryer, version int64) error {
	err := Check(ctx, db, version)
	if found := (*CheckError)(nil); err != nil && (!errors.As(err, &found) || found.Problem != ProblemNoRight) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := Pin(db).Query(ctx, checkOperatorSQL)
	if err != nil {
		return unreachable(err)
	}
	type operator struct {
		May          bool
		Role, Quoted string
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[operator])
	if err != nil {
		return unreachable(err)
	}
	if found.May {
		return nil
	}
	return &CheckError{
		Problem: ProblemNoRight, Text: fmt.Sprintf("role %q may not work on the outbox by hand", found.Role),
		Next: fmt.Sprintf("as the owner of the schema, run: select outbox.grant_operator(%s)", found.Quoted),
	}
}

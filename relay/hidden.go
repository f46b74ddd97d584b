package relay

import (
	"context"
	_ "embed" // the statement is a file
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/hidden.sql
var hiddenSQL string

// hiddenInterval is how often a relay looks whether row security was switched on.
const hiddenInterval = 2 * time.Second

// What the look is for, in the words of the log.
const seeing = "see every row"

// checkHidden refuses row security that applies to the role: what it hides is an event that is never
// published, a lease that no relay has, or a receipt that was never written. The relay's sessions
// have row_security off, so a statement fails there before it misses a row; this names the remedy.
func checkHidden(ctx context.Context, db Queryer) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, hiddenSQL)
	if err != nil {
		return unreachable(err)
	}
	var tables []string
	var role string
	if _, err := pgx.ForEachRow(rows, []any{&tables, &role}, func() error { return nil }); err != nil {
		return unreachable(err)
	}
	if len(tables) == 0 {
		return nil
	}
	names, remedies := make([]string, len(tables)), make([]string, len(tables))
	for i, table := range tables {
		names[i] = "outbox." + table
		remedies[i] = "alter table outbox." + table + " disable row level security"
	}
	return &CheckError{
		Problem: ProblemHidden,
		Text: fmt.Sprintf("row security of %s applies to role %q, from which it may hide events",
			strings.Join(names, ", "), role),
		Next: fmt.Sprintf("to exempt the role, run as a superuser: alter role %s bypassrls; "+
			"to switch row security off, run: %s",
			pgx.Identifier{role}.Sanitize(), strings.Join(remedies, "; ")),
	}
}

// isHidden reports whether an error is that of [checkHidden] about row security.
func isHidden(err error) bool {
	problem, ok := errors.AsType[*CheckError](err)
	return ok && problem.Problem == ProblemHidden
}

// watchHidden says while this relay leads whether row security applies to its role. That what it
// hides is not missed is left to the statements, which fail: some are tried until they succeed, so
// a session does not end by itself.
func (r *Relay) watchHidden(ctx context.Context) {
	for {
		r.lookForHidden(ctx)
		if !pause(ctx, hiddenInterval) {
			return
		}
	}
}

func (r *Relay) lookForHidden(ctx context.Context) {
	switch err := checkHidden(ctx, Pin(r.pool)); {
	case isHidden(err):
		r.track.databaseFailed(seeing, err)
	case err == nil:
		r.track.databaseWorks(seeing)
	}
}

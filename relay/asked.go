package relay

import (
	"context"
	_ "embed" // the statement is a file
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

//go:embed sql/asked.sql
var askedSQL string

// request is what an operator has done by hand to dead letters, as outbox.dead_letter_log has it.
type request struct {
	Action   string
	Operator string
	Events   int64
}

// askedError ends a session because an operator has changed by hand what it keeps in memory. It is
// an errAgain.
type askedError struct{ by []request }

func (e *askedError) Error() string { return "an operator has changed the outbox by hand" }
func (e *askedError) Unwrap() error { return errAgain }

// readsAgain notes why a session ended whose successor reads the events again: for an operator, who
// is named as far as the database tells, or for another cause.
func (t *tracker) readsAgain(cause error) {
	asked, ok := errors.AsType[*askedError](cause)
	if !ok {
		t.lines.info("reading events again", zap.NamedError("cause", cause))
		return
	}
	const message = "reading events again for an operator"
	for _, each := range asked.by {
		t.lines.info(message, zap.String("operator", each.Operator), zap.String("command", "dead "+each.Action),
			zap.Int64("events", each.Events))
	}
	if len(asked.by) == 0 {
		t.lines.info(message, zap.String("operator", "unknown"),
			zap.String("command", strings.Join([]string{"dead retry", "dead discard", "verify --repair"}, " or ")))
	}
}

// unreadable stands for the last line of a log that the role may not read: outbox.grant_relay does
// not let it.
const unreadable = -1

// lastRequest returns the last line of outbox.dead_letter_log, or unreadable.
func lastRequest(ctx context.Context, db Queryer) (int64, error) {
	may, err := queryOne[bool](ctx, db, "select has_table_privilege('outbox.dead_letter_log', 'select')")
	if err != nil || !may {
		return unreadable, err
	}
	return queryOne[int64](ctx, db, "select coalesce(max(id), 0) from outbox.dead_letter_log")
}

// askedSince returns the error of a session that has to begin anew because operators did something
// after a line of the log.
func askedSince(ctx context.Context, db Queryer, line int64) error {
	asked := &askedError{}
	if line == unreadable {
		return asked
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, askedSQL, line)
	if err == nil {
		asked.by, _ = pgx.CollectRows(rows, pgx.RowToStructByPos[request]) // without an answer it is not known who asked
	}
	return asked
}

package replay

import (
	"context"
	_ "embed" // the statements are files, so that they can be read and tried as they are
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
)

var (
	//go:embed sql/start.sql
	startSQL string
	//go:embed sql/find.sql
	findSQL string
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/copy.sql
	copyText string
	//go:embed sql/preview.sql
	previewText string

	copySQL, previewSQL = selecting(copyText), selecting(previewText)
)

// selecting puts the condition of a selection into a statement.
func selecting(sql string) string {
	return strings.ReplaceAll(sql, ":selection", "("+selection.Condition+")")
}

const (
	// statementTimeout bounds one step.
	statementTimeout = time.Minute
	// walkTimeout bounds a look at all that is selected.
	walkTimeout = 10 * time.Minute
)

// Replay is a row of outbox.replays.
type Replay struct {
	ID        int64               `json:"id"`
	StartedAt time.Time           `json:"started_at"`
	Actor     string              `json:"actor"` // the database role
	Selection selection.Selection `json:"selection"`
	NewIDs    bool                `json:"new_ids"`
	LastID    int64               `json:"last_id"` // events up to this id were looked at
	EndID     int64               `json:"end_id"`  // events up to this id belong to the replay
	Events    int64               `json:"events"`  // how many were copied
	// FinishedAt is when it came to its end; nil if it never did.
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// Finished reports whether everything was copied.
func (r Replay) Finished() bool { return r.FinishedAt != nil }

// ErrUnknown is returned by [Find] for an id that no replay has.
var ErrUnknown = errors.New("no such replay")

// Start begins a replay of everything that is selected now. It copies nothing yet, see [Run]. The role needs the rights of
// outbox.grant_operator, as for everything here.
func Start(ctx context.Context, db relay.Queryer, what selection.Selection, newIDs bool) (Replay, error) {
	after, end := bounds(what)
	return one(ctx, db, startSQL, what, newIDs, after, end)
}

// bounds returns the ids behind which a selection begins, and with which it ends.
func bounds(what selection.Selection) (after, end int64) {
	if end = what.Last; end == 0 {
		end = math.MaxInt64
	}
	return max(what.First-1, 0), end
}

// Find returns a replay by its id, or [ErrUnknown].
func Find(ctx context.Context, db relay.Queryer, id int64) (Replay, error) {
	found, err := one(ctx, db, findSQL, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, fmt.Errorf("%w: %d", ErrUnknown, id)
	}
	return found, err
}

// List returns the last replays, the newest first, at most limit of them.
func List(ctx context.Context, db relay.Queryer, limit int) ([]Replay, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := relay.Pin(db).Query(ctx, listSQL, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Replay])
}

func one(ctx context.Context, db relay.Queryer, sql string, args ...any) (Replay, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := relay.Pin(db).Query(ctx, sql, args...)
	if err != nil {
		return Replay{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Replay])
}

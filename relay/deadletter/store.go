package deadletter

import (
	"context"
	_ "embed" // the statements are files, so that they can be read and tried as they are
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

var (
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/count.sql
	countSQL string
	//go:embed sql/absent.sql
	absentSQL string
	//go:embed sql/page.sql
	pageSQL string
	//go:embed sql/raise_epoch.sql
	raiseEpochSQL string
	//go:embed sql/retry.sql
	retrySQL string
	//go:embed sql/discard.sql
	discardSQL string
	//go:embed sql/show.sql
	showSQL string
	//go:embed sql/waiting.sql
	waitingSQL string
	//go:embed sql/history.sql
	historySQL string
	//go:embed sql/settled.sql
	settledSQL string
	//go:embed sql/put_back.sql
	putBackSQL string
	//go:embed sql/record.sql
	recordSQL string
)

const (
	// lookTimeout bounds a statement that changes nothing.
	lookTimeout = time.Minute
	// chunkTimeout bounds one transaction. An interruption does not end it, so that whole chunks are done.
	chunkTimeout = 2 * time.Minute
)

// Store reaches the dead letters of one outbox. Make one with [NewStore]. Its errors are those of the database.
type Store struct{ pool *pgxpool.Pool }

// NewStore returns a store for a database whose role has the rights of outbox.grant_operator; those of outbox.grant_relay are
// enough to list.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Ref names one dead letter: neither id is unique alone.
type Ref struct {
	ID      int64
	EventID outbox.ID
}

// columns returns the ids and the event ids as Postgres takes them.
func columns(refs []Ref) (ids []int64, eventIDs [][16]byte) {
	ids, eventIDs = make([]int64, len(refs)), make([][16]byte, len(refs))
	for i, ref := range refs {
		ids[i], eventIDs[i] = ref.ID, ref.EventID
	}
	return ids, eventIDs
}

// queryer runs statements: a pool or a transaction.
type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// collect returns what a statement returns, a struct a row.
func collect[T any](ctx context.Context, db queryer, sql string, args ...any) ([]T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// look is collect for a statement that changes nothing.
func look[T any](ctx context.Context, s *Store, sql string, args ...any) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return collect[T](ctx, relay.Pin(s.pool), sql, args...)
}

// refusesRow reports whether Postgres refused a row for what it holds: a rule, a type, a trigger that raised an error. The
// classes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html.
func refusesRow(err error) bool {
	refused := (*pgconn.PgError)(nil)
	if !errors.As(err, &refused) {
		return false
	}
	for _, class := range []string{"22", "23", "54", "P0"} {
		if strings.HasPrefix(refused.Code, class) {
			return true
		}
	}
	return false
}

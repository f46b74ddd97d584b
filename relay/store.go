package relay

import (
	"context"
	_ "embed" // the statements are files, so that they can be read and tried as they are
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed sql/read_new.sql
	readNewText string
	//go:embed sql/read_measured.sql
	readMeasuredText string
	//go:embed sql/read_late.sql
	readLateText string
	//go:embed sql/read_ids.sql
	readIDsText string
	//go:embed sql/writers.sql
	writersSQL string
	//go:embed sql/ended.sql
	endedSQL string
	//go:embed sql/flush.sql
	flushSQL string
	//go:embed sql/sweep.sql
	sweepSQL string
	//go:embed sql/bury.sql
	burySQL string
	//go:embed sql/bury_unreachable.sql
	buryUnreachableSQL string
	//go:embed sql/backlog.sql
	backlogSQL string
)

// The statements that return events, with the condition of a [mark].
var (
	readNewSQL, readMeasuredSQL = guarded(readNewText), guarded(readMeasuredText)
	readLateSQL, readIDsSQL     = guarded(readLateText), guarded(readIDsText)
)

// A server that is gone is noticed at once; these only end what would otherwise hang for ever.
const (
	// statementTimeout bounds one statement of the engine.
	statementTimeout = 30 * time.Second
	// walkTimeout bounds one that may have to walk over dead rows: where a transaction somewhere holds back vacuum, there
	// can be many millions of them, and giving up halfway would mean to begin again for ever.
	walkTimeout = 5 * time.Minute
	// purgeTimeout bounds one step of the purge, which can be done again at any time.
	purgeTimeout = 10 * time.Second
)

// Queryer runs statements: a *pgxpool.Pool, a *pgxpool.Conn or a *pgx.Conn.
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func readNew(ctx context.Context, db Queryer, read mark, room int, asked ask, most limits) (page, error) {
	if asked.payload == 0 {
		return readPage(ctx, db, read, room, most.bytes, readMeasuredSQL, asked.events, most.bytes)
	}
	return readPage(ctx, db, read, room, most.bytes, readNewSQL, asked.events, asked.payload)
}

func readLate(ctx context.Context, db Queryer, read mark, look []gap, max limits) (page, error) {
	first, last := make([]int64, len(look)), make([]int64, len(look))
	for i, each := range look {
		first[i], last[i] = each.first, each.last
	}
	return readPage(ctx, db, read, 0, max.bytes, readLateSQL, first, last, max.events, max.bytes)
}

func readIDs(ctx context.Context, db Queryer, read mark, ids []int64, max limits) (page, error) {
	return readPage(ctx, db, read, len(ids), max.bytes, readIDsSQL, ids, max.bytes)
}

func readWriters(ctx context.Context, db Queryer) ([]heldWriter, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, writersSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[heldWriter])
}

// readEnded returns which of the transactions have ended to a snapshot of its own.
func readEnded(ctx context.Context, db Queryer, xids []int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, endedSQL, xids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// flushCommits returns when all that was committed before is on disk.
func flushCommits(ctx context.Context, db Queryer) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if _, err := db.Exec(ctx, flushSQL); err != nil {
		return fmt.Errorf("flush asynchronous commits: %w", err)
	}
	return nil
}

// swept is an event that the safety sweep came upon.
type swept struct {
	ID  int64
	Key string
}

func readSweep(ctx context.Context, db Queryer, look []span, max int) ([]swept, error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	first, last := make([]int64, len(look)), make([]int64, len(look))
	for i, each := range look {
		first[i], last[i] = each.first, each.last
	}
	rows, err := db.Query(ctx, sweepSQL, first, last, max)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[swept])
}

// moveDead moves events to outbox.dead_letters. With hold, their keys are held from then on.
func moveDead(ctx context.Context, db Queryer, dead []deadLetter, hold bool) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	n := len(dead)
	ids, eventIDs := make([]int64, n), make([][16]byte, n)
	reasons, texts, attempts := make([]string, n), make([]string, n), make([]int32, n)
	first, last := make([]time.Time, n), make([]time.Time, n)
	for i, each := range dead {
		ids[i], eventIDs[i] = each.id, each.eventID
		reasons[i], texts[i], attempts[i] = string(each.reason), each.text, int32(min(each.attempts, 1<<30))
		first[i], last[i] = each.firstFailed, each.lastFailed
	}
	_, err := db.Exec(ctx, burySQL, ids, eventIDs, reasons, texts, attempts, first, last, hold)
	return err
}

package relay

import (
	"cmp"
	"context"
	_ "embed" // the statements are files, so that they can be read and tried as they are
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed sql/read_new.sql
	readNewSQL string
	//go:embed sql/read_late.sql
	readLateSQL string
	//go:embed sql/read_ids.sql
	readIDsSQL string
	//go:embed sql/writers.sql
	writersSQL string
	//go:embed sql/sweep.sql
	sweepSQL string
	//go:embed sql/bury.sql
	burySQL string
	//go:embed sql/backlog.sql
	backlogSQL string
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

// limits bound what one read returns.
type limits struct{ events, bytes int }

// page is what one read returned. Events whose headers cannot be decoded are in broken as well: they were not written through
// outbox's checks, and must not stop the others.
type page struct {
	events []Event
	broken map[int64]error
	bytes  int
}

// full reports whether the limits, and not the table, ended the page.
func (p page) full(max limits) bool { return len(p.events) >= max.events || p.bytes >= max.bytes }

// merge returns two pages as one, by id.
func merge(late, fresh page) page {
	if len(late.events) == 0 {
		return fresh
	}
	merged := page{events: append(late.events, fresh.events...), broken: late.broken, bytes: late.bytes + fresh.bytes}
	slices.SortFunc(merged.events, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	if merged.broken == nil {
		merged.broken = fresh.broken
	}
	maps.Copy(merged.broken, fresh.broken)
	return merged
}

func readNew(ctx context.Context, db Queryer, head int64, max limits) (page, error) {
	return readPage(ctx, db, readNewSQL, head, max.events, max.bytes)
}

func readLate(ctx context.Context, db Queryer, look []gap, max limits) (page, error) {
	first, last := make([]int64, len(look)), make([]int64, len(look))
	for i, each := range look {
		first[i], last[i] = each.first, each.last
	}
	return readPage(ctx, db, readLateSQL, first, last, max.events, max.bytes)
}

func readIDs(ctx context.Context, db Queryer, ids []int64, max limits) (page, error) {
	return readPage(ctx, db, readIDsSQL, ids, max.bytes)
}

func readPage(ctx context.Context, db Queryer, sql string, args ...any) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return page{}, err
	}
	defer rows.Close()
	var p page
	for rows.Next() {
		p.events = append(p.events, Event{})
		event := &p.events[len(p.events)-1]
		if err := p.scan(rows, event); err != nil {
			return page{}, err
		}
		p.bytes += len(event.Payload)
	}
	return p, rows.Err()
}

func (p *page) scan(rows pgx.Rows, event *Event) error {
	var headers []byte
	err := rows.Scan(&event.ID, (*[16]byte)(&event.EventID), &event.Subject, &event.Key, &headers, &event.Payload, &event.CreatedAt)
	if err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	event.CreatedAt = event.CreatedAt.UTC()
	if headers == nil {
		return nil
	}
	if err := json.Unmarshal(headers, &event.Headers); err != nil {
		if p.broken == nil {
			p.broken = make(map[int64]error)
		}
		p.broken[event.ID] = fmt.Errorf("headers are not an object of strings: %w", err)
	}
	return nil
}

func readWriters(ctx context.Context, db Queryer) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, writersSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
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

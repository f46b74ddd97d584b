package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// countLimit is how many rows are counted one by one. Each is looked up in the table, so large rows, which are seldom in the server's
// memory, take much longer than small ones: 100,000 of 1 KiB took 0.5 s of its time, every two seconds.
const countLimit = 10_000

// backlogTimeout bounds a measurement: at a table full of dead rows an operator gets an answer, not a wait.
const backlogTimeout = 10 * time.Second

// ReadBacklog measures what waits in the outbox, in a time that does not depend on how much that is, nor on how much is retained.
// The database is a pool or a connection whose role has the rights of outbox.grant_relay.
func ReadBacklog(ctx context.Context, db Queryer) (Backlog, error) {
	db = Pin(db)
	w, err := waitWithoutReceipt(ctx, db)
	if err != nil {
		return Backlog{}, fmt.Errorf("measure the backlog: %w", err)
	}
	m, err := measureBacklog(ctx, db, w)
	return m.backlog, err
}

// waitWithoutReceipt finds out from the receipts alone what waits.
func waitWithoutReceipt(ctx context.Context, db Queryer) (waiting, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	generation, err := readGeneration(ctx, db)
	if err != nil {
		return waiting{}, err
	}
	covered, err := readReceipts(ctx, db, generation)
	if err != nil || len(covered) == 0 {
		return waiting{}, err
	}
	return waitBetween(ctx, db, covered)
}

// waitBetween counts the events without a receipt between those that have one, up to countLimit,
// and beyond that the ids.
func waitBetween(ctx context.Context, db Queryer, covered []span) (waiting, error) {
	head := covered[len(covered)-1].last
	w := waiting{low: head + 1}
	all := between(covered, head)
	for look := range slices.Chunk(all, maxLooks) {
		events, err := readSweep(ctx, db, look, countLimit-w.events)
		if err != nil {
			return w, err
		}
		if len(events) > 0 && w.oldest == 0 {
			w.oldest = events[0].ID
		}
		if w.events += len(events); w.events >= countLimit {
			for _, each := range behind(all, events[len(events)-1].ID) {
				w.events += int(each.last - each.first + 1)
			}
			break
		}
	}
	return w, nil
}

// waiting says what is known of the backlog before it is measured: every id from low on waits that has a row, and events others
// before it, of which oldest is the least id; 0 for none.
type waiting struct {
	low    int64
	events int
	oldest int64
}

// measured is what one measurement found.
type measured struct {
	backlog Backlog
	epoch   int64     // see outbox.control
	drawn   int64     // the last id that was drawn
	now     time.Time // the database's clock
}

func measureBacklog(ctx context.Context, db Queryer, w waiting) (m measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	rows, err := db.Query(ctx, backlogSQL, w.low, countLimit, w.oldest)
	if err != nil {
		return m, fmt.Errorf("measure the backlog: %w", err)
	}
	b := Backlog{At: time.Now().UTC(), Exact: true}
	var beyond int64
	_, err = pgx.ForEachRow(rows, []any{&b.Events, &beyond, &b.Lag, &b.DeadLetters, &m.epoch, &m.drawn, &m.now}, func() error { return nil })
	if err != nil {
		return m, fmt.Errorf("measure the backlog: %w", err)
	}
	if b.Events >= countLimit {
		b.Exact = beyond == 0
		b.Events += beyond
	}
	b.Exact = b.Exact && w.events < countLimit
	b.Events += int64(w.events)
	m.backlog = b
	return m, nil
}

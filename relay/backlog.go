package relay

import (
	"context"
	"fmt"
	"time"
)

// countLimit is how many rows are counted one by one. It takes about 20 ms.
const countLimit = 100_000

// backlogTimeout bounds a measurement: at a table full of dead rows an operator gets an answer, not a wait.
const backlogTimeout = 10 * time.Second

// ReadBacklog measures what waits in the outbox, in a time that does not depend on how much that is. The database is a
// pool or a connection whose role has the rights of outbox.grant_relay.
func ReadBacklog(ctx context.Context, db Queryer) (Backlog, error) {
	b, _, err := readBacklog(ctx, db, 0)
	return b, err
}

// readBacklog measures from id low on, and returns the database's clock too.
func readBacklog(ctx context.Context, db Queryer, low int64) (Backlog, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	rows, err := db.Query(ctx, backlogSQL, low, countLimit)
	if err != nil {
		return Backlog{}, time.Time{}, fmt.Errorf("measure the backlog: %w", err)
	}
	defer rows.Close()
	b := Backlog{At: time.Now().UTC(), Exact: true}
	var beyond int64
	var now time.Time
	for rows.Next() {
		if err := rows.Scan(&b.Events, &beyond, &b.Lag, &b.DeadLetters, &now); err != nil {
			return Backlog{}, time.Time{}, fmt.Errorf("measure the backlog: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return Backlog{}, time.Time{}, fmt.Errorf("measure the backlog: %w", err)
	}
	if b.Events >= countLimit {
		b.Exact = beyond == 0
		b.Events += beyond
	}
	return b, now, nil
}

package relay

import (
	"context"
	_ "embed" // the statements are files
	"fmt"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/rehome.sql
	rehomeSQL string
	//go:embed sql/rehomes.sql
	rehomesSQL string
	//go:embed sql/purge_rehomes.sql
	purgeRehomesSQL string
)

// rehome makes the events that only the fallback got events to publish again, in a session that uses the primary, and remembers
// them. Everything else is the ordinary beginning of a session: those that the primary had stored after all are found in its stream
// and get their receipt, and the others are read like every row without a receipt, in the order of ids, before newer ones. So
// there is no state to lose: a relay that dies in between leaves rows without a receipt.
//
// The caller has made sure that the primary answers, so that an outage which begins anew costs no second delivery to the fallback.
func (r *Relay) rehome(ctx context.Context) error {
	if len(r.rehomes()) == 0 || r.onFallback() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	events, err := queryOne[int64](ctx, r.db, rehomeSQL, r.rehomes())
	if err != nil {
		return fmt.Errorf("take back the receipts of the fallback: %w", err)
	}
	if events > 0 {
		r.track.rehoming(events)
	}
	return r.findForeign(ctx)
}

// readRehomes returns the ids of the events that the fallback got first. A session that uses the fallback marks none.
func (r *Relay) readRehomes(ctx context.Context, db Queryer) ([]span, error) {
	if len(r.rehomes()) == 0 || r.onFallback() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, rehomesSQL)
	if err != nil {
		return nil, err
	}
	spans, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (each span, err error) {
		err = row.Scan(&each.first, &each.last)
		return each, err
	})
	return union(spans), err
}

// purgeRehomes forgets what is rehomed and purged.
func purgeRehomes(ctx context.Context, db Queryer) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	_, err := db.Exec(ctx, purgeRehomesSQL)
	return err
}

// markRehomed marks the events of a page that the fallback got first.
func markRehomed(p page, rehomed []span) page {
	for i := range p.events {
		p.events[i].Rehomed = covers(rehomed, p.events[i].ID)
	}
	return p
}

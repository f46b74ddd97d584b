package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Inbox handles events in the consumer's own database. The effect of an event and the note that it was seen are one transaction, so a
// crash at any moment leaves both or neither. Nothing else makes an effect happen exactly once.
type Inbox struct{ db *pgxpool.Pool }

const inboxSchema = `
create table if not exists seen_events (
    event_id uuid primary key,
    seen_at timestamptz not null default now()
);
create index if not exists seen_events_seen_at on seen_events (seen_at);`

// Handle implements [Handler].
func (b *Inbox) Handle(ctx context.Context, e Event) (isNew bool, err error) {
	err = pgx.BeginFunc(ctx, b.db, func(tx pgx.Tx) error {
		// Another transaction with the same id is waited for: it commits, and this one finds nothing to do, or it does not.
		seen, err := tx.Exec(ctx, "insert into seen_events (event_id) values ($1) on conflict do nothing", e.ID)
		if err != nil || seen.RowsAffected() == 0 {
			return err
		}
		isNew = true
		return reward(ctx, tx, e)
	})
	return isNew && err == nil, err
}

// remember is for how long an id is known. An event can come again as long after its first delivery as an outage lasts, and the pause
// before rehoming, and as a consumer is behind; and whenever somebody repairs or replays with the same ids.
const remember = 7 * 24 * time.Hour

// forget removes ids that are older than that, a few at a time.
func (b *Inbox) forget(ctx context.Context) error {
	for {
		gone, err := b.db.Exec(ctx, `delete from seen_events where event_id in (
			select event_id from seen_events where seen_at < now() - $1::interval order by seen_at limit 10000)`, remember)
		if err != nil || gone.RowsAffected() == 0 {
			return err
		}
	}
}

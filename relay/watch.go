package relay

import (
	"context"
	_ "embed" // the statement is a file
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/served.sql
var servedSQL string

// showInterval is the pause between two looks of a relay without a broker.
const showInterval = time.Second

// watch is what a relay without a broker does until ctx ends or its session fails. It takes no
// lease and changes nothing in the database, so it keeps no other relay from publishing, and every
// event stays an event to publish.
func (r *Relay) watch(ctx context.Context, until deadlines) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer hangUp(until, conn)
	if err := Check(ctx, conn, r.version); err != nil {
		return err
	}
	db, err := onServer(ctx, conn)
	if err != nil {
		return err
	}
	table, err := readGeneration(ctx, db)
	if err != nil {
		return fmt.Errorf("read the generation of the table: %w", err)
	}
	most := limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes}
	read := newReader(db, table, most, newParkedIDs(), newHeldKeys(nil), &aside{}, &r.low, &r.landed)
	if err := read.rebuild(ctx); err != nil {
		return fmt.Errorf("read the receipts: %w", err)
	}
	for {
		more, err := r.show(ctx, db, read)
		if err != nil {
			return err
		}
		r.track.databaseWorks(leading)
		if !more && !pause(ctx, showInterval) {
			return context.Cause(ctx)
		}
	}
}

// show gives the next events to the publisher, which logs them, unless the outbox belongs to relays
// with a broker. It reports whether there may be more.
func (r *Relay) show(ctx context.Context, db Queryer, read *reader) (more bool, err error) {
	owner, err := r.ownerOfOutbox(ctx, db)
	if err != nil {
		return false, fmt.Errorf("ask who publishes: %w", err)
	}
	r.track.unconfigured(r.explainUnconfigured(owner))
	if owner != "" {
		r.track.backlogUnknown()
		return false, nil
	}
	b, err := read.next(ctx)
	if err != nil {
		return false, fmt.Errorf("read events: %w", err)
	}
	if len(b.events) == 0 {
		return false, r.measureUnpublished(ctx, db, read.head)
	}
	_, _ = r.publisher.Publish(ctx, b.events) // stores none of them, and has said so at the start
	b.flight.land(len(b.events))
	return true, nil
}

// ownerOfOutbox says which relay or which broker the events are for; empty if there is none yet.
func (r *Relay) ownerOfOutbox(ctx context.Context, db Queryer) (string, error) {
	lease, err := ReadLease(ctx, db)
	if err != nil {
		return "", err
	}
	r.track.leaseSeen(lease, false)
	if lease.Held {
		return "is led by " + lease.Owner, nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, servedSQL)
	if err != nil {
		return "", err
	}
	var broker, stream string
	_, err = pgx.ForEachRow(rows, []any{&broker, &stream}, func() error { return nil })
	if err != nil || broker == "" {
		return "", err
	}
	return "was published to " + strings.TrimSpace(broker+" "+stream), nil
}

func (r *Relay) explainUnconfigured(owner string) string {
	text := "no broker is configured: " + r.placeholder.Missing()
	if owner == "" {
		return text + "; events are written to the log and wait in Postgres"
	}
	return text + "; this outbox " + owner + ", so this relay leaves its events alone"
}

// measureUnpublished measures the backlog, and returns an error if ids were drawn again that were
// read before.
func (r *Relay) measureUnpublished(ctx context.Context, db Queryer, head int64) error {
	w, err := waitWithoutReceipt(ctx, db)
	if err != nil {
		return fmt.Errorf("%s: %w", measuring, err)
	}
	m, err := measureBacklog(ctx, db, w)
	if err != nil {
		return err
	}
	r.track.backlogMeasured(m.backlog, newHeldKeys(nil))
	if m.drawn < head {
		return fmt.Errorf("%w: the sequence of ids has gone back to %d, id %d was read before", errAgain, m.drawn, head)
	}
	return nil
}

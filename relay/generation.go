package relay

import (
	"context"
	_ "embed" // the statements are files
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/outbox"
)

var (
	//go:embed sql/generation.sql
	generationSQL string
	//go:embed sql/unchanged.sql
	unchangedSQL string
	//go:embed sql/doubt_receipts.sql
	doubtReceiptsSQL string
	//go:embed sql/distrust_receipts.sql
	distrustReceiptsSQL string
	//go:embed sql/prove_receipts.sql
	proveReceiptsSQL string
	//go:embed sql/acknowledged.sql
	acknowledgedSQL string
)

// proveChunk is how many receipts one statement compares with the rows.
const proveChunk = 8

// readGeneration returns the generation of outbox.events: while it is the same, a row that has an id is the row that had it before, unless the
// sequence was set back.
func readGeneration(ctx context.Context, db Queryer) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return queryOne[int64](ctx, db, generationSQL)
}

// mark says what a session knows of the table. Each statement that reads events fails if it is not true any more, before it returns one: what
// was read and what is read then belong to different numberings of events, and have no order.
type mark struct {
	generation int64
	last       identity // the event with the highest id that was read; an id alone, or 0, where no more is known
}

// guarded puts the condition of a [mark] into a statement. Its parameters come first.
func guarded(sql string) string { return strings.Replace(sql, ":unchanged", unchangedSQL, 1) }

func (m mark) args(rest []any) []any {
	var eventID *[16]byte
	if m.last.eventID != (outbox.ID{}) {
		eventID = (*[16]byte)(&m.last.eventID)
	}
	return append([]any{m.generation, m.last.id, eventID}, rest...)
}

// errRenumbered is wrapped, beside [errAgain], by the errors that end a session because ids may have been drawn again.
var errRenumbered = errors.New("ids of outbox.events may have been drawn again")

// explainChange tells the failure of sql/unchanged.sql from other errors.
func explainChange(err error) error {
	if isRefused(err) {
		return fmt.Errorf("%w: %w: the table was emptied, replaced or rewritten, or its sequence was set back", errAgain, errRenumbered)
	}
	return err
}

// readIdentity returns the event with an id; the zero value if there is none.
func readIdentity(ctx context.Context, db Queryer, id int64) (found identity, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, "select id, event_id from outbox.events where id = $1", id)
	if err != nil {
		return found, err
	}
	_, err = pgx.ForEachRow(rows, []any{&found.id, (*[16]byte)(&found.eventID)}, func() error { return nil })
	return found, err
}

func (r *reader) mark() mark {
	m := mark{generation: r.table, last: identity{id: r.head}}
	if r.last.id == r.head {
		m.last = r.last
	}
	return m
}

// proveReceipts makes sure that each id which a receipt covers belongs to the event that was acknowledged. That is so while the table and its
// sequence are those under which the receipt was written; else the receipts are compared with the rows, once. What does not match is an event
// to publish.
func (r *Relay) proveReceipts(ctx context.Context) error {
	began := time.Now()
	again, others, err := doubtReceipts(ctx, r.db, r.table)
	if err != nil {
		return err
	}
	if again = again || r.distrusts; again {
		if err := distrustReceipts(ctx, r.db, r.table); err != nil {
			return err
		}
		r.distrusts = false
	}
	all := proof{}
	for again || others {
		next, err := proveNext(ctx, r.db, r.table, all.last)
		if err != nil {
			return err
		}
		if next.receipts == 0 {
			break
		}
		all = proof{last: next.last, receipts: all.receipts + next.receipts, events: all.events + next.events, present: all.present + next.present}
	}
	r.absent = all.present < all.events
	if all.receipts > 0 {
		r.track.proved(all, time.Since(began))
	}
	return nil
}

// proof is what a comparison of receipts with the rows has found.
type proof struct {
	last            int64 // the last receipt
	receipts        int64
	events, present int64 // how many events the receipts name, and how many of those are in the table
}

// doubtReceipts reports whether the ids of receipts of a generation may have been drawn again, and whether there are
// receipts of other generations.
func doubtReceipts(ctx context.Context, db Queryer, generation int64) (again, others bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, doubtReceiptsSQL, generation)
	if err != nil {
		return false, false, err
	}
	_, err = pgx.ForEachRow(rows, []any{&again, &others}, func() error { return nil })
	return again, others, err
}

func distrustReceipts(ctx context.Context, db Queryer, generation int64) error {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	_, err := db.Exec(ctx, distrustReceiptsSQL, generation)
	return err
}

// proveNext compares some receipts after one that are of another generation with the rows.
func proveNext(ctx context.Context, db Queryer, generation, after int64) (p proof, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, proveReceiptsSQL, generation, after, proveChunk)
	if err != nil {
		return p, err
	}
	_, err = pgx.ForEachRow(rows, []any{&p.last, &p.receipts, &p.events, &p.present}, func() error { return nil })
	return p, err
}

// requireProven ends the session if receipts may cover other events than the acknowledged ones. The next session compares them.
func (r *reader) requireProven(ctx context.Context) error {
	again, _, err := doubtReceipts(ctx, r.db, r.table)
	if err == nil && again {
		err = fmt.Errorf("%w: the sequence of ids was set back, or acknowledged events were removed by hand", errAgain)
	}
	return err
}

// readUnacknowledged reads like [reader.read], without what was acknowledged, removed and put back.
func (r *reader) readUnacknowledged(ctx context.Context) (page, error) {
	for {
		p, err := r.read(ctx)
		if err != nil || len(p.events) == 0 || !r.absent {
			return p, err
		}
		if p, err = r.withoutAcknowledged(ctx, p); err != nil || len(p.events) > 0 {
			return p, err
		}
	}
}

// withoutAcknowledged leaves out of a page what was acknowledged, removed and put back, as when outbox.events alone is
// restored.
func (r *reader) withoutAcknowledged(ctx context.Context, p page) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	events := make([]identity, len(p.events))
	for i := range p.events {
		events[i] = identityOf(&p.events[i])
	}
	ids, uuids := columns(events)
	rows, err := r.db.Query(ctx, acknowledgedSQL, r.table, ids, uuids)
	if err != nil {
		return page{}, err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return page{}, err
	}
	p.events = slices.DeleteFunc(p.events, func(event Event) bool {
		_, found := slices.BinarySearch(known, event.ID)
		return found
	})
	return p, nil
}

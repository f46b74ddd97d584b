package relay

import (
	"cmp"
	"context"
	_ "embed" // the statements are files, so that they can be read and tried as they are
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gameoutbox/relay/outbox"
)

var (
	//go:embed sql/read_receipts.sql
	readReceiptsSQL string
	//go:embed sql/receipt.sql
	receiptSQL string
	//go:embed sql/present.sql
	presentSQL string
	//go:embed sql/settle.sql
	settleSQL string
	//go:embed sql/purge.sql
	purgeSQL string
	//go:embed sql/purge_positions.sql
	purgePositionsSQL string
	//go:embed sql/unreceipt.sql
	unreceiptSQL string
	//go:embed sql/count_lost.sql
	countLostSQL string
	//go:embed sql/position.sql
	positionSQL string
	//go:embed sql/set_position.sql
	setPositionSQL string
)

// place is where events were stored: the broker, and the stream as it was known then.
type place struct{ broker, stream, incarnation string }

// acknowledged is what one statement settles: events, and the sequences between which their stream holds them.
type acknowledged struct {
	events      []identity
	place       place
	first, last uint64 // last is math.MaxInt64 where it is not known
	position    uint64 // up to where the stream is settled then
	generation  int64  // of the table that the events were read from
}

// columns returns the ids and the event ids as Postgres takes them.
func columns(events []identity) (ids []int64, _ eventIDs) {
	ids = make([]int64, len(events))
	for i := range events {
		ids[i] = events[i].id
	}
	return ids, events
}

// eventIDs are the event ids of events as an array of Postgres. pgx takes a third of the time to encode it that it takes for a slice.
type eventIDs []identity

// Dimensions implements [pgtype.ArrayGetter].
func (e eventIDs) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(e)), LowerBound: 1}}
}

// Index implements [pgtype.ArrayGetter].
func (e eventIDs) Index(i int) any { return (*eventUUID)(&e[i].eventID) }

// IndexType implements [pgtype.ArrayGetter].
func (e eventIDs) IndexType() any { return (*eventUUID)(nil) }

// eventUUID is an event id as a value of Postgres.
type eventUUID outbox.ID

// UUIDValue implements [pgtype.UUIDValuer].
func (u *eventUUID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: *u, Valid: true}, nil }

// removeEvents settles events by deleting them.
func removeEvents(ctx context.Context, db Queryer, a acknowledged) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	ids, uuids := columns(a.events)
	_, err := db.Exec(ctx, settleSQL, ids, uuids, a.place.broker, a.place.stream, a.place.incarnation, int64(a.position))
	return err
}

// writeReceipt settles events by a receipt. They are those that this session has read, or that [readPresent] has found. It extends the
// receipt extend if that is still there, and returns the receipt's id; 0 if none of the events is in the table.
func writeReceipt(ctx context.Context, db Queryer, a acknowledged, extend int64) (receipt int64, err error) {
	for {
		intact, receipt, err := tryReceipt(ctx, db, a, extend)
		if err != nil || intact {
			return receipt, err
		}
		if a.events, err = readPresent(ctx, db, a.events); err != nil {
			return 0, err
		}
	}
}

func tryReceipt(ctx context.Context, db Queryer, a acknowledged, extend int64) (intact bool, receipt int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	slices.SortFunc(a.events, func(a, b identity) int { return cmp.Compare(a.id, b.id) })
	var first, last identity
	if len(a.events) > 0 {
		first, last = a.events[0], a.events[len(a.events)-1]
	}
	rows, err := db.Query(ctx, receiptSQL, multirange(a.events), len(a.events),
		a.place.broker, a.place.stream, a.place.incarnation, int64(a.first), int64(a.last), extend, int64(a.position),
		first.id, [16]byte(first.eventID), last.id, [16]byte(last.eventID), eventIDs(a.events), a.generation)
	if err != nil {
		return false, 0, err
	}
	_, err = pgx.ForEachRow(rows, []any{&intact, &receipt}, func() error { return nil })
	return intact, receipt, err
}

// multirange returns the ids of sorted events.
func multirange(events []identity) pgtype.Multirange[pgtype.Range[int64]] {
	ids := pgtype.Multirange[pgtype.Range[int64]]{}
	for _, each := range events {
		if last := len(ids) - 1; last >= 0 && ids[last].Upper == each.id {
			ids[last].Upper++
			continue
		}
		ids = append(ids, pgtype.Range[int64]{
			Lower: each.id, Upper: each.id + 1, LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true,
		})
	}
	return ids
}

// readPresent returns those of some events that are in the table, each once.
func readPresent(ctx context.Context, db Queryer, events []identity) ([]identity, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	ids, uuids := columns(events)
	rows, err := db.Query(ctx, presentSQL, ids, uuids)
	if err != nil {
		return nil, err
	}
	var present []identity
	var each identity
	_, err = pgx.ForEachRow(rows, []any{&each.id, (*[16]byte)(&each.eventID)}, func() error {
		present = append(present, each)
		return nil
	})
	return present, err
}

// readReceipts returns the ids that receipts cover in a generation of the table.
func readReceipts(ctx context.Context, db Queryer, generation int64) ([]span, error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, readReceiptsSQL, generation)
	if err != nil {
		return nil, err
	}
	var spans []span
	var each span
	_, err = pgx.ForEachRow(rows, []any{&each.first, &each.last}, func() error {
		if last := len(spans) - 1; last >= 0 && spans[last].last+1 == each.first {
			spans[last].last = each.last // most receipts follow each other
			return nil
		}
		spans = append(spans, each)
		return nil
	})
	return union(spans), err
}

// purgeReceipts removes receipts behind id after that are older than retention, and their rows, up to about limit events, but
// none but those of some brokers; nil means every broker. It returns the last receipt that it removed, or after, and the number of events.
func purgeReceipts(
	ctx context.Context, db Queryer, after int64, retention time.Duration, limit int, brokers []string,
) (last, events int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	rows, err := db.Query(ctx, purgeSQL, after, retention, limit, brokers)
	if err != nil {
		return after, 0, err
	}
	_, err = pgx.ForEachRow(rows, []any{&last, &events}, func() error { return nil })
	return last, events, err
}

// purgePositions removes positions behind id after that newer ones have replaced, and returns the last that it removed, or after.
func purgePositions(ctx context.Context, db Queryer, after int64, limit int) (last int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	return queryOne[int64](ctx, db, purgePositionsSQL, after, limit)
}

// loss says which part of a stream is gone. Receipts for it are void.
type loss struct {
	place  place
	after  uint64 // what lay after this sequence is gone
	from   uint64 // what lay from this sequence on
	before uint64 // up to before this one is gone
	// Receipts that are younger than minAge are left alone, and so are, if it is not 0, those that are older than maxAge.
	minAge, maxAge time.Duration
}

// voided is what [voidReceipts] did.
type voided struct {
	events      int64     // how many are to be published again, unless the stream holds them after all
	first, last uint64    // the sequences between which the stream may hold some of them; only of the same incarnation
	since       time.Time // when the first of them was settled
}

// voidReceipts takes back the receipts for what a stream has lost, and those for its other incarnations.
func voidReceipts(ctx context.Context, db Queryer, l loss) (v voided, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, unreceiptSQL, l.place.broker, l.place.stream, l.place.incarnation,
		int64(min(l.after, math.MaxInt64)), int64(l.before), l.minAge, l.maxAge, int64(l.from))
	if err != nil {
		return v, err
	}
	_, err = pgx.ForEachRow(rows, []any{&v.events, &v.first, &v.last, &v.since}, func() error { return nil })
	return v, err
}

// countLost returns how many events [voidReceipts] would publish again.
func countLost(ctx context.Context, db Queryer, l loss) (events int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	return queryOne[int64](ctx, db, countLostSQL, l.place.broker, l.place.stream, l.place.incarnation,
		int64(min(l.after, math.MaxInt64)), int64(l.before), l.minAge, l.maxAge, int64(l.from))
}

// position is how far a stream was settled.
type position struct {
	incarnation string
	last        uint64
}

// readPosition returns how far a stream was settled; false if it never was.
func readPosition(ctx context.Context, db Queryer, broker, stream string) (p position, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, positionSQL, broker, stream)
	if err != nil {
		return p, false, err
	}
	_, err = pgx.ForEachRow(rows, []any{&p.incarnation, &p.last}, func() error {
		found = true
		return nil
	})
	return p, found, err
}

func writePosition(ctx context.Context, db Queryer, at place, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := db.Exec(ctx, setPositionSQL, at.broker, at.stream, at.incarnation, int64(last))
	return err
}

// queryOne runs a statement that returns one value.
func queryOne[T any](ctx context.Context, db Queryer, sql string, args ...any) (value T, err error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return value, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
}

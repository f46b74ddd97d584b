package verify

import (
	"cmp"
	"context"
	_ "embed" // the statements are files, so that they can be read and tried as they are
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
)

var (
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/elsewhere.sql
	elsewhereSQL string
	//go:embed sql/rows.sql
	rowsText string
	//go:embed sql/count.sql
	countText string
	//go:embed sql/unfound.sql
	unfoundSQL string
	//go:embed sql/payloads.sql
	payloadsSQL string
	//go:embed sql/strays.sql
	straysText string

	rowsSQL, countSQL, straysSQL = selecting(rowsText), selecting(countText), selecting(straysText)
)

// statementTimeout bounds one statement. Each reads a receipt's rows at most, or walks over the receipts once.
const statementTimeout = 5 * time.Minute

// selecting puts the condition of a selection into a statement.
func selecting(sql string) string {
	return strings.ReplaceAll(sql, ":selection", "("+selection.Condition+")")
}

// store is the database's side: the retained events of one stream.
type store struct {
	db                          relay.Queryer
	sel                         selection.Selection
	broker, stream, incarnation string
}

// receipt is one of the stream's, as it was listed.
type receipt struct {
	id          int64
	first, last uint64    // between which sequences its events lie; 0 if it is for another incarnation of the stream
	settled     time.Time // when the first of them was settled, see ago
}

// ago returns a time as the clock of this host tells it, of an age by that of the database.
func ago(age time.Duration) time.Time { return time.Now().Add(-age) }

// identity names a row: an id alone does not, see relay/sql/receipt.sql.
type identity struct {
	id      int64
	eventID outbox.ID
}

// row is a retained event.
type row struct {
	identity
	content  content
	selected bool
	found    uint64 // the sequence at which the stream holds it; 0 if it was not seen yet
	doubled  bool   // it was seen again
}

// list returns the receipts that may cover selected events, in the order of the stream.
func (s store) list(ctx context.Context) ([]receipt, error) {
	args := s.sel.Args()
	rows, cancel, err := query(ctx, s.db, listSQL, s.broker, s.stream, s.incarnation, args[0], args[1], args[5])
	if err != nil {
		return nil, err
	}
	defer cancel()
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r receipt, err error) {
		var age time.Duration
		err = row.Scan(&r.id, &r.first, &r.last, &age)
		r.settled = ago(age)
		return r, err
	})
}

// elsewhere returns the other streams that have acknowledged retained events.
func (s store) elsewhere(ctx context.Context) ([]Other, error) {
	rows, cancel, err := query(ctx, s.db, elsewhereSQL, s.broker, s.stream)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Other])
}

// read returns the rows of a receipt, and between which sequences they lie now.
func (s store) read(ctx context.Context, id int64) (w window, err error) {
	w.receipt = id
	rows, cancel, err := query(ctx, s.db, rowsSQL, s.with(id, s.incarnation)...)
	if err != nil {
		return w, err
	}
	defer cancel()
	for rows.Next() {
		r := new(row)
		var subject, key *string
		var headers, payload []byte
		if err := rows.Scan(&w.first, &w.last, &r.id, (*[16]byte)(&r.eventID), &r.selected, &subject, &key, &headers, &payload); err != nil {
			return w, err
		}
		if r.selected {
			r.content = content{subject: text(subject), key: text(key), headers: digestJSON(headers), payload: digest(payload)}
		}
		w.rows = append(w.rows, r)
	}
	slices.SortFunc(w.rows, byID)
	return w, rows.Err()
}

func byID(a, b *row) int { return cmp.Compare(a.id, b.id) }

// count returns how many selected rows a receipt covers.
func (s store) count(ctx context.Context, id int64) (int64, error) {
	return queryOne(ctx, s.db, countSQL, s.with(id)...)
}

// suspect is a row that was not found where its receipt says that it is.
type suspect struct {
	identity
	subject, key string
	receipt      int64
	first        uint64 // the receipt says that the stream holds it there or later; 0 if it is for another incarnation
	created      time.Time
	firstSettled time.Time // when the first event of the receipt was settled
	settled      time.Time // when the last was
}

// unfound returns those ids of a receipt that it still covers.
func (s store) unfound(ctx context.Context, receipt int64, ids []span) ([]suspect, error) {
	first, last := columns(ids)
	rows, cancel, err := query(ctx, s.db, unfoundSQL, receipt, first, last, s.incarnation)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (suspect, error) {
		found := suspect{receipt: receipt}
		var created, firstSettled, settled time.Duration
		err := row.Scan(&found.id, (*[16]byte)(&found.eventID), &found.subject, &found.key, &found.first, &created, &firstSettled, &settled)
		found.created, found.firstSettled, found.settled = ago(created), ago(firstSettled), ago(settled)
		return found, err
	})
}

// payloads returns the digests of the payloads of rows.
func (s store) payloads(ctx context.Context, of []identity) (map[identity]digest, error) {
	ids, eventIDs := make([]int64, len(of)), make([][16]byte, len(of))
	for i, each := range of {
		ids[i], eventIDs[i] = each.id, each.eventID
	}
	rows, cancel, err := query(ctx, s.db, payloadsSQL, ids, eventIDs)
	if err != nil {
		return nil, err
	}
	defer cancel()
	digests := make(map[identity]digest, len(of))
	for rows.Next() {
		var row identity
		var payload []byte
		if err := rows.Scan(&row.id, (*[16]byte)(&row.eventID), &payload); err != nil {
			return nil, err
		}
		digests[row] = digest(payload)
	}
	return digests, rows.Err()
}

// strays returns those messages whose rows have a receipt that does not fit.
func (s store) strays(ctx context.Context, messages []message) ([]stray, error) {
	ids, eventIDs, sequences := make([]int64, len(messages)), make([][16]byte, len(messages)), make([]int64, len(messages))
	bySequence := make(map[int64]message, len(messages))
	for i, each := range messages {
		ids[i], eventIDs[i], sequences[i] = each.id, each.eventID, int64(each.sequence)
		bySequence[sequences[i]] = each
	}
	rows, cancel, err := query(ctx, s.db, straysSQL, s.with(ids, eventIDs, sequences, s.broker, s.stream, s.incarnation)...)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (found stray, err error) {
		var sequence int64
		var age time.Duration
		var headers, payload []byte
		err = row.Scan(&found.row.id, (*[16]byte)(&found.row.eventID), &sequence, &found.row.content.subject, &found.row.content.key,
			&headers, &payload, &age)
		if err == nil {
			found.created = ago(age)
			found.message = bySequence[sequence]
			found.row.content.headers, found.row.content.payload = digestJSON(headers), digest(payload)
		}
		return found, err
	})
}

// with returns the parameters of the selection and those that follow them.
func (s store) with(more ...any) []any { return append(s.sel.Args(), more...) }

// query runs a statement within statementTimeout, until cancel is called.
func query(ctx context.Context, db relay.Queryer, sql string, args ...any) (pgx.Rows, context.CancelFunc, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	rows, err := relay.Pin(db).Query(ctx, sql, args...)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return rows, func() { rows.Close(); cancel() }, nil
}

// queryOne runs a statement that returns one number.
func queryOne(ctx context.Context, db relay.Queryer, sql string, args ...any) (int64, error) {
	rows, cancel, err := query(ctx, db, sql, args...)
	if err != nil {
		return 0, err
	}
	defer cancel()
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// limits bound what one read returns.
type limits struct{ events, bytes int }

// after returns the limits of the read that follows one with these which returned p. Where the
// bytes ended the page, it asks for not many more events than fit.
func (l limits) after(p page, most limits) limits {
	events := l.events * moreEvents
	if p.omitted || p.bytes >= l.bytes {
		events = 2 * len(p.events)
	}
	return limits{events: max(1, min(events, most.events)), bytes: most.bytes}
}

// page is what one read returned. Events of which a part cannot be read are in broken as well: they
// were not written through outbox's checks, and must not stop the others.
type page struct {
	events  []Event
	broken  map[int64]*PermanentError
	bytes   int  // of the events in memory, see sizeOf
	largest int  // event, in bytes
	omitted bool // the page ends before an event that was too large for it
	async   bool // some were committed asynchronously: a crash of Postgres may still take them back
}

// full reports whether the limits, and not the table, ended the page.
func (p page) full(max limits) bool {
	return len(p.events) >= max.events || p.bytes >= max.bytes || p.omitted
}

// cutBefore returns the events with ids below id, and the rest.
func (p page) cutBefore(id int64) (before, rest page) {
	at := len(p.events)
	for at > 0 && p.events[at-1].ID >= id {
		at--
	}
	if at == len(p.events) {
		return p, page{}
	}
	before, rest = p, p
	before.events, rest.events = p.events[:at:at], p.events[at:]
	before.bytes = 0
	for i := range before.events {
		before.bytes += sizeOf(&before.events[i])
	}
	rest.bytes -= before.bytes
	return before, rest
}

// merge returns two pages as one, by id.
func merge(late, fresh page) page {
	if len(late.events) == 0 {
		return fresh
	}
	merged := page{events: append(late.events, fresh.events...), broken: late.broken, bytes: late.bytes + fresh.bytes, async: late.async || fresh.async}
	slices.SortFunc(merged.events, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	if merged.broken == nil {
		merged.broken = fresh.broken // not to be written to: a page that was cut shares it
	} else {
		maps.Copy(merged.broken, fresh.broken)
	}
	return merged
}

// headerSize is about what a header takes in memory beside its text.
const headerSize = 64

// sizeOf returns about how many bytes an event takes in memory, which is what limits count: many
// small headers take several times their text.
func sizeOf(event *Event) int {
	size := len(event.Payload)
	for name, value := range event.Headers {
		size += headerSize + len(name) + len(value)
	}
	return size
}

// readPage runs a statement that returns events, and keeps about most bytes of them. If there is
// one it makes room for so many events at once, and for more as they come. The statement fails, and
// the error wraps [errAgain], if the table is not the one that was read before.
func readPage(ctx context.Context, db Queryer, read mark, room, most int, sql string, args ...any) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	rows, err := db.Query(ctx, sql, read.args(args)...)
	if err != nil {
		return page{}, explainChange(err)
	}
	defer rows.Close()
	var p page
	r := newRow()
	for rows.Next() {
		if p.events == nil {
			p.events = make([]Event, 0, max(room, 1))
		}
		if p.omitted {
			continue
		}
		if err := rows.Scan(r.columns...); err != nil {
			return page{}, fmt.Errorf("read an event: %w", err)
		}
		if p.omitted = r.event.Payload == nil || p.bytes >= most; !p.omitted {
			p.add(r)
		}
	}
	return p, explainChange(rows.Err())
}

// add decodes a row.
func (p *page) add(r *row) {
	event := r.event
	event.CreatedAt = r.createdAt.Time.UTC()
	event.Headers = nil
	if len(r.headers) > 0 {
		if err := json.Unmarshal(r.headers, &event.Headers); err != nil {
			p.fail(event.ID, ReasonBadHeader, fmt.Errorf("headers are not an object of strings: %w", err))
		}
	}
	if r.createdAt.InfinityModifier != pgtype.Finite {
		p.fail(event.ID, ReasonUnreadable, fmt.Errorf("created_at is %s, which is no time", r.createdAt.InfinityModifier))
	}
	p.events = append(p.events, event)
	size := sizeOf(&event)
	p.bytes += size
	p.largest = max(p.largest, size)
	p.async = p.async || r.async
}

// fail notes why an event cannot be published.
func (p *page) fail(id int64, reason Reason, cause error) {
	if p.broken == nil {
		p.broken = make(map[int64]*PermanentError)
	}
	p.broken[id] = &PermanentError{Reason: reason, Err: cause}
}

// row is what pgx scans a row into, again and again. The texts and payloads of many events share an allocation, which takes a fifth of
// the time that one for each would.
type row struct {
	event     Event
	headers   rawHeaders
	createdAt pgtype.Timestamptz
	async     bool
	columns   []any // id, event_id, subject, key, headers, payload, created_at, async_commit
}

func newRow() *row {
	r := &row{}
	texts, payloads := &textSlab{}, &byteSlab{}
	r.columns = []any{
		&r.event.ID, (*[16]byte)(&r.event.EventID), &slabText{texts, &r.event.Subject}, &slabText{texts, &r.event.Key},
		&r.headers, &slabBytes{payloads, &r.event.Payload}, &r.createdAt, &r.async,
	}
	return r
}

// What pgx calls for a column, see [pgtype.BytesScanner], with bytes that are good until the next row.
type (
	rawHeaders []byte
	slabText   struct {
		slab *textSlab
		to   *string
	}
	slabBytes struct {
		slab *byteSlab
		to   *[]byte
	}
)

func (h *rawHeaders) ScanBytes(b []byte) error {
	*h = append((*h)[:0], b...)
	return nil
}

func (s *slabText) ScanBytes(b []byte) error {
	*s.to = s.slab.add(b)
	return nil
}

func (s *slabBytes) ScanBytes(b []byte) error {
	if *s.to = nil; b != nil {
		*s.to = s.slab.add(b)
	}
	return nil
}

// A slab begins small, for most reads of a quiet outbox return one event, and doubles.
const (
	slabMin = 512
	slabMax = 256 << 10
)

// nextSlab returns the size of the next slab after one of size last, for n bytes at least.
func nextSlab(last, n int) int { return max(n, slabMin, min(2*last, slabMax)) }

// textSlab holds many short texts.
type textSlab struct{ text *strings.Builder }

// add returns b as a string.
func (s *textSlab) add(b []byte) string {
	if s.text == nil || s.text.Len()+len(b) > s.text.Cap() {
		last := 0
		if s.text != nil {
			last = s.text.Cap()
		}
		s.text = &strings.Builder{}
		s.text.Grow(nextSlab(last, len(b)))
	}
	from := s.text.Len()
	s.text.Write(b)
	return s.text.String()[from:]
}

// byteSlab holds many payloads.
type byteSlab struct{ bytes []byte }

// add returns a copy of b.
func (s *byteSlab) add(b []byte) []byte {
	if s.bytes == nil || len(s.bytes)+len(b) > cap(s.bytes) {
		s.bytes = make([]byte, 0, nextSlab(cap(s.bytes), len(b)))
	}
	from := len(s.bytes)
	s.bytes = append(s.bytes, b...)
	return s.bytes[from:len(s.bytes):len(s.bytes)]
}

package outbox

import (
	_ "embed"
	"encoding/hex"
	"strings"
)

//go:embed insert_one.sql
var insertOne string

//go:embed insert_many.sql
var insertMany string

// statement returns the query for rows, of which there is at least one, and its arguments. There are two queries and no more,
// whatever the number of events is, so that caches of prepared statements stay small.
func statement(rows []row, columns func([]row) []any) (query string, args []any) {
	if len(rows) == 1 {
		r := rows[0]
		return insertOne, []any{r.id, r.subject, r.key, r.headers, r.payload}
	}
	return insertMany, columns(rows)
}

// arrays returns the columns of rows as slices, which pgx sends as arrays.
func arrays(rows []row) []any {
	ids, subjects := make([]string, len(rows)), make([]string, len(rows))
	keys, headers := make([]string, len(rows)), make([]string, len(rows))
	payloads := make([][]byte, len(rows))
	for i, r := range rows {
		ids[i], subjects[i], keys[i], headers[i], payloads[i] = r.id, r.subject, r.key, r.headers, r.payload
	}
	return []any{ids, subjects, keys, headers, payloads}
}

// arrayLiterals returns the columns of rows as texts in the form {"a","b"}. Package database/sql has no arrays, and every
// driver has its own way to send one, but all of them send a text.
func arrayLiterals(rows []row) []any {
	var ids, subjects, keys, headers, payloads literal
	for _, r := range rows {
		ids.add(r.id)
		subjects.add(r.subject)
		keys.add(r.key)
		headers.add(r.headers)
		payloads.add(`\x` + hex.EncodeToString(r.payload))
	}
	return []any{ids.String(), subjects.String(), keys.String(), headers.String(), payloads.String()}
}

// literal builds the text form of an array, https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
type literal struct{ strings.Builder }

var quoteElement = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (l *literal) add(element string) {
	if l.Len() == 0 {
		l.WriteString(`{"`)
	} else {
		l.WriteString(`,"`)
	}
	_, _ = quoteElement.WriteString(l, element) // a Builder never fails
	l.WriteByte('"')
}

// String ends the array.
func (l *literal) String() string { return l.Builder.String() + "}" }

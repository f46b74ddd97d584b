package integration_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/outbox"
)

// rulesOf returns the constraints of a domain as one SQL condition on a column named value.
func rulesOf(t *testing.T, pool *pgxpool.Pool, domain string) string {
	t.Helper()
	var condition string
	require.NoError(t, pool.QueryRow(t.Context(), `select string_agg(pg_get_expr(conbin, 0), ' and ') from pg_constraint
		where contypid = $1::text::regtype`, domain).Scan(&condition))
	require.NotEmpty(t, condition)
	return condition
}

// acceptedBySQL tells for each value whether the domain's rules accept it; as is the SQL that makes it one from a text.
func acceptedBySQL(t *testing.T, pool *pgxpool.Pool, domain, as string, values []string) []bool {
	t.Helper()
	rows, err := pool.Query(t.Context(), fmt.Sprintf(`select coalesce(%s, true) from
		(select %s as value, place from unnest($1::text[]) with ordinality as v (v, place)) as v order by place`,
		rulesOf(t, pool, domain), as), values)
	require.NoError(t, err)
	accepted, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	require.NoError(t, err)
	require.Len(t, accepted, len(values))
	return accepted
}

// agreement is a way to make an event of a text and its counterpart in SQL.
type agreement struct {
	name, domain, as string
	event            func(string) outbox.Raw
	text             func(string) string // what SQL gets for the text
}

func same(s string) string { return s }

func jsonObject(name, value string) string {
	object, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		panic(err) // strings cannot fail
	}
	return string(object)
}

var agreements = []agreement{
	{"subject", "outbox.event_subject", `v collate "C"`, func(s string) outbox.Raw { return outbox.Raw{Subject: s} }, same},
	{"key", "outbox.event_key", `v collate "C"`, func(s string) outbox.Raw { return outbox.Raw{Subject: "a", Key: s} }, same},
	{"header name", "outbox.event_headers", "v::jsonb",
		func(s string) outbox.Raw { return outbox.Raw{Subject: "a", Headers: map[string]string{s: "x"}} },
		func(s string) string { return jsonObject(s, "x") }},
	{"header value", "outbox.event_headers", "v::jsonb",
		func(s string) outbox.Raw { return outbox.Raw{Subject: "a", Headers: map[string]string{"x": s}} },
		func(s string) string { return jsonObject("x", s) }},
}

// check compares the library with the database for every text.
func (a agreement) check(t *testing.T, pool *pgxpool.Pool, texts []string) {
	t.Helper()
	values := make([]string, len(texts))
	for i, text := range texts {
		values[i] = a.text(text)
	}
	var refused int
	for i, bySQL := range acceptedBySQL(t, pool, a.domain, a.as, values) {
		err := outbox.Validate(a.event(texts[i]))
		if (err == nil) != bySQL {
			t.Errorf("%q: accepted by SQL: %t, by Go: %v", texts[i], bySQL, err)
		}
		if !bySQL {
			refused++
		}
	}
	assert.NotZero(t, refused, "the texts must show both answers")
	assert.Less(t, refused, len(texts), "the texts must show both answers")
}

// codePoints are all that are assigned to scripts, and the ends of the planes beyond, each in front, inside and at the end.
func codePoints() []string {
	var texts []string
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || r > 0x20000 && r&0xffff != 0 && r&0xffff != 0xffff {
			continue
		}
		texts = append(texts, string(r)+"b", "a"+string(r)+"b", "a"+string(r))
	}
	return texts
}

func TestGoAndSQLAgreeOnEveryCodePointInEveryLocale(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	texts := codePoints()
	for locale, pool := range map[string]*pgxpool.Pool{"default": db.Pool, "turkish": turkish(t, db)} {
		for _, a := range agreements {
			t.Run(locale+" "+a.name, func(t *testing.T) {
				t.Parallel()
				a.check(t, pool, texts)
			})
		}
	}
}

// turkish returns a migrated database whose locale has other ideas than C about letters and their case. Postgres 14 has no
// such databases; there it is one more with the default locale.
func turkish(t *testing.T, db *harness.Database) *pgxpool.Pool {
	t.Helper()
	var hasICU bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select current_setting('server_version_num')::int >= 150000").Scan(&hasICU))
	options := "encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
	if hasICU {
		options += " locale_provider icu icu_locale 'tr-TR'"
	}
	url := newDatabase(t, db, options)
	_, err := migrations.Up(t.Context(), openSQL(t, url))
	require.NoError(t, err)
	return connect(t, url)
}

// randomText puts together what is likely to break a rule, or nearly.
func randomText() string {
	pieces := []string{"a", "Z", "0", ".", "..", "-", "_", " ", "  ", "\t", "\n", "\r\n", "*", ">", "\"", "\\", "{", "}", ",", ":", ", \"", "\": \"",
		"nats-", "Nats", "NATS-", "outbox-", "OutBox",
		"status", "STATUS", "Description", "descr", "iption", "é", "ß", "ı", "İ", "ſ", "K", "玩家", "🎮", "\u0085", "\u00a0", "\u200b", "\u2028", "\ufeff",
		"\u007f", "\u0080", "\u009f", "\u0001", "\\u0001", "\\n", "game", "player", strings.Repeat("x", 120), strings.Repeat("é", 60)}
	var text strings.Builder
	for range 1 + rand.IntN(5) {
		text.WriteString(pieces[rand.IntN(len(pieces))])
	}
	return text.String()
}

func TestGoAndSQLAgreeOnRandomTexts(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for _, a := range agreements {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			texts := make([]string, 20_000)
			for i := range texts {
				texts[i] = randomText()
			}
			a.check(t, db.Pool, texts)
		})
	}
}

func FuzzTheTableTakesWhatTheLibraryAccepts(f *testing.F) {
	db := harness.Postgres(f)
	f.Add("game.test", "player:42", "x-shard", "7", []byte("{}"), 1)
	f.Add("é.玩家", "", "", "", []byte{}, 1)
	f.Add("a", " ", "nats-x", "\t", []byte{0}, 255)
	f.Add("a", "k", "abc", "<&>\"\\", []byte("x"), 4681)
	f.Fuzz(func(t *testing.T, subject, key, name, value string, payload []byte, times int) {
		value = strings.Repeat(value, max(1, min(times, 40_000/max(1, len(value)))))
		event := outbox.Raw{Subject: subject, Key: key, Headers: map[string]string{name: value}, Payload: payload}
		if name == "" {
			event.Headers = nil
		}
		if outbox.Validate(event) != nil {
			return
		}
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, event))
	})
}

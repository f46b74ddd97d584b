package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// recording remembers the calls, and answers with err.
type recording struct {
	calls []call
	err   error
}

type call struct {
	query string
	args  []any
}

// one returns the arguments of the only call.
func (r *recording) one(t *testing.T) []any {
	t.Helper()
	require.Len(t, r.calls, 1)
	return r.calls[0].args
}

// recorder is a transaction of pgx. Its Conn panics, as that of pgxmock does.
type recorder struct {
	pgx.Tx
	recording
}

func (r *recorder) Exec(_ context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	r.calls = append(r.calls, call{query, args})
	return pgconn.CommandTag{}, r.err
}

// sqlRecorder is a transaction of database/sql.
type sqlRecorder struct{ recording }

func (r *sqlRecorder) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	r.calls = append(r.calls, call{query, args})
	return nil, r.err
}

func (*sqlRecorder) Commit() error   { return nil }
func (*sqlRecorder) Rollback() error { return nil }

type levelUp struct {
	Player int `json:"player"`
	Level  int `json:"level"`
}

func (levelUp) EventName() string { return "game.player.level_up" }

type trade struct {
	id [16]byte
	To string
}

func (trade) EventName() string               { return "game.trade" }
func (t trade) EventKey() string              { return "player:" + t.To }
func (trade) EventHeaders() map[string]string { return map[string]string{"x-shard": "7"} }
func (t trade) EventID() [16]byte             { return t.id }

func TestPublishEncodesATypedEvent(t *testing.T) {
	t.Parallel()
	var db recorder
	require.NoError(t, outbox.Publish(t.Context(), &db, levelUp{Player: 42, Level: 7}))
	args := db.one(t)
	_, err := outbox.ParseID(args[0].(string))
	require.NoError(t, err)
	assert.Equal(t, []any{"game.player.level_up", "", "", []byte(`{"player":42,"level":7}`)}, args[1:])
}

func TestPublishAsksATypedEventForWhatItDecides(t *testing.T) {
	t.Parallel()
	id := outbox.NewID()
	for _, event := range []outbox.Event{trade{id: id, To: "bob"}, &trade{id: id, To: "bob"}} {
		var db recorder
		require.NoError(t, outbox.Publish(t.Context(), &db, event))
		assert.Equal(t, []any{id.String(), "game.trade", "player:bob", `{"x-shard":"7"}`, []byte(`{"To":"bob"}`)}, db.one(t))
	}
}

func TestPublishTakesRawEventsAsTheyAre(t *testing.T) {
	t.Parallel()
	raw := outbox.Raw{Subject: "game.raw", Key: "k", Payload: []byte{0, 0xff}, ID: outbox.NewID()}
	for _, event := range []outbox.Event{raw, &raw} {
		var db recorder
		require.NoError(t, outbox.Publish(t.Context(), &db, event))
		assert.Equal(t, []any{outbox.ID(raw.ID).String(), "game.raw", "k", "", []byte{0, 0xff}}, db.one(t))
	}
}

// A nil slice would arrive as null, which the table refuses.
func TestPublishSendsAnEmptyPayloadAsEmptyNotAsNull(t *testing.T) {
	t.Parallel()
	var one, many recorder
	require.NoError(t, outbox.Publish(t.Context(), &one, outbox.Raw{Subject: "a"}))
	assert.Equal(t, []byte{}, one.one(t)[4])
	require.NoError(t, outbox.Publish(t.Context(), &many, outbox.Raw{Subject: "a"}, outbox.Raw{Subject: "b"}))
	assert.Equal(t, [][]byte{{}, {}}, many.one(t)[4])
}

func TestPublishGeneratesADifferentIDForEachEvent(t *testing.T) {
	t.Parallel()
	var db recorder
	events := make([]outbox.Event, 100)
	for i := range events {
		events[i] = levelUp{}
	}
	require.NoError(t, outbox.Publish(t.Context(), &db, events...))
	seen := make(map[string]bool)
	for _, id := range db.one(t)[0].([]string) {
		seen[id] = true
	}
	assert.Len(t, seen, len(events))
}

func TestPublishSendsAllEventsInOneStatementInOrder(t *testing.T) {
	t.Parallel()
	var db recorder
	require.NoError(t, outbox.Publish(t.Context(), &db, outbox.Raw{Subject: "a"}, levelUp{}, outbox.Raw{Subject: "c"}))
	assert.Equal(t, []string{"a", "game.player.level_up", "c"}, db.one(t)[1])
}

func TestPublishSQLSendsArraysAsTextThatEveryDriverTakes(t *testing.T) {
	t.Parallel()
	var db sqlRecorder
	require.NoError(t, outbox.PublishSQL(t.Context(), &db,
		outbox.Raw{Subject: `a"b\c`, Payload: []byte{0, 0xff}, Headers: map[string]string{"x": `"`}},
		outbox.Raw{Subject: "d,e{}", Key: "NULL"}))
	args := db.one(t)
	assert.Equal(t, `{"a\"b\\c","d,e{}"}`, args[1])
	assert.Equal(t, `{"","NULL"}`, args[2])
	assert.Equal(t, `{"{\"x\":\"\\\"\"}",""}`, args[3])
	assert.Equal(t, `{"\\x00ff","\\x"}`, args[4])
}

// Two texts and no more: a cache of prepared statements must not fill up with one text for each number of events.
func TestPublishUsesTheSameStatementForAnyNumberOfEvents(t *testing.T) {
	t.Parallel()
	var db recorder
	var sqlDB sqlRecorder
	for n := 2; n < 10; n++ {
		require.NoError(t, outbox.Publish(t.Context(), &db, levelUps(n)...))
		require.NoError(t, outbox.PublishSQL(t.Context(), &sqlDB, levelUps(n)...))
	}
	texts := make(map[string]bool)
	for _, call := range slices.Concat(db.calls, sqlDB.calls) {
		texts[call.query] = true
	}
	assert.Len(t, texts, 1)
}

func levelUps(n int) []outbox.Event {
	events := make([]outbox.Event, n)
	for i := range events {
		events[i] = levelUp{Level: i}
	}
	return events
}

func TestPublishWithoutEventsDoesNotAskTheDatabase(t *testing.T) {
	t.Parallel()
	var db recorder
	var sqlDB sqlRecorder
	require.NoError(t, outbox.Publish(t.Context(), &db))
	require.NoError(t, outbox.PublishSQL(t.Context(), &sqlDB))
	assert.Empty(t, db.calls)
	assert.Empty(t, sqlDB.calls)
}

func TestPublishRefusesABadEventBeforeItAsksTheDatabase(t *testing.T) {
	t.Parallel()
	var db recorder
	var sqlDB sqlRecorder
	err := outbox.Publish(t.Context(), &db, levelUp{}, outbox.Raw{Subject: "a b"})
	invalid, ok := errors.AsType[*outbox.ValidationError](err)
	require.True(t, ok)
	assert.Equal(t, 1, invalid.Index)
	assert.ErrorAs(t, outbox.PublishSQL(t.Context(), &sqlDB, outbox.Raw{}), &invalid)
	assert.Empty(t, db.calls)
	assert.Empty(t, sqlDB.calls)
}

type uuidOfAnotherPackage [16]byte

type wrongID struct{ levelUp }

func (wrongID) EventID() uuidOfAnotherPackage { return uuidOfAnotherPackage{1} }

type wrongKey struct{ levelUp }

func (wrongKey) EventKey() int { return 1 }

type wrongHeaders struct{ levelUp }

func (wrongHeaders) EventHeaders() map[string][]string { return nil }

type pointerKey struct{ levelUp }

func (*pointerKey) EventKey() string { return "k" }

type unencodable struct{ levelUp }

func (unencodable) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON today") }

const nilDereference = "runtime error: invalid memory address or nil pointer dereference"

type pointerName struct{}

func (*pointerName) EventName() string { return "game.named" }

type base struct{ name string }

func (b *base) EventName() string { return b.name }

type embedded struct{ *base }

// panicking panics in one of its methods.
type panicking struct {
	levelUp
	in string
}

func (p panicking) panicIn(method string) {
	if p.in == method {
		panic(method)
	}
}

func (p panicking) EventKey() string                { p.panicIn("key"); return "" }
func (p panicking) EventHeaders() map[string]string { p.panicIn("headers"); return nil }
func (p panicking) EventID() [16]byte               { p.panicIn("id"); return [16]byte{} }
func (p panicking) MarshalJSON() ([]byte, error)    { p.panicIn("json"); return []byte("{}"), nil }

func TestPublishRefusesAnEventThatItCannotEncode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event outbox.Event
		want  string
	}{
		"nil":                          {nil, "outbox: event 0: is nil"},
		"nil pointer":                  {(*outbox.Raw)(nil), "outbox: event 0: is a nil *outbox.Raw"},
		"nil pointer to a typed event": {(*levelUp)(nil), "outbox: event 0: is a nil *outbox_test.levelUp"},
		"nil pointer with a name":      {(*pointerName)(nil), "outbox: event 0: is a nil *outbox_test.pointerName"},
		"embedded nil pointer": {embedded{},
			"outbox: event 0: EventName of outbox_test.embedded panicked: " + nilDereference},
		"embedded nil interface": {struct{ outbox.Event }{},
			"outbox: event 0: EventName of struct { outbox.Event } panicked: " + nilDereference},
		"key that panics":      {panicking{in: "key"}, "outbox: event 0: EventKey of outbox_test.panicking panicked: key"},
		"headers that panic":   {panicking{in: "headers"}, "outbox: event 0: EventHeaders of outbox_test.panicking panicked: headers"},
		"id that panics":       {panicking{in: "id"}, "outbox: event 0: EventID of outbox_test.panicking panicked: id"},
		"encoding that panics": {&panicking{in: "json"}, "outbox: event 0: the JSON encoding of *outbox_test.panicking panicked: json"},
		"id of a type that would be ignored": {wrongID{},
			"outbox: event 0: type outbox_test.wrongID has this method with other types: write it as EventID() [16]byte"},
		"key of a type that would be ignored": {wrongKey{},
			"outbox: event 0: type outbox_test.wrongKey has this method with other types: write it as EventKey() string"},
		"headers of a type that would be ignored": {wrongHeaders{},
			"outbox: event 0: type outbox_test.wrongHeaders has this method with other types: write it as EventHeaders() map[string]string"},
		"key that only the pointer has": {pointerKey{},
			"outbox: event 0: type outbox_test.pointerKey has the method EventKey() string on its pointer alone: publish a pointer to it"},
		"broken JSON": {unencodable{},
			"outbox: event 0: encode outbox_test.unencodable as JSON: json: error calling MarshalJSON for type outbox_test.unencodable: no JSON today"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var db recorder
			require.EqualError(t, outbox.Publish(t.Context(), &db, c.event), c.want)
			require.EqualError(t, outbox.Publish(t.Context(), &db, c.event), c.want, "the second time, from the cache")
			assert.Empty(t, db.calls)
		})
	}
}

func TestPublishTakesAPointerWhoseKeyIsOnThePointer(t *testing.T) {
	t.Parallel()
	var db recorder
	require.NoError(t, outbox.Publish(t.Context(), &db, &pointerKey{}))
	assert.Equal(t, "k", db.one(t)[2])
}

// pgdriverError has the shape of the errors of bun's driver.
type pgdriverError struct{ code string }

func (e pgdriverError) Error() string          { return "refused" }
func (e pgdriverError) Field(name byte) string { return map[byte]string{'C': e.code}[name] }

func TestPublishSaysWhatToDoAboutAnErrorOfTheDatabase(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"42P01": "outbox: publish: wrapped: refused; create the schema with: outbox-relay migrate up",
		"42501": "outbox: publish: wrapped: refused; let the owner of the schema run: select outbox.grant_writer('<this role>')",
		"42P02": "outbox: publish: wrapped: refused; this handle formats queries itself and drops their arguments: pass what it wraps, with bun tx.Tx or db.DB",
		"40001": "outbox: publish: wrapped: refused",
	} {
		for _, cause := range []error{&pgconn.PgError{Code: code, Message: "refused"}, pgdriverError{code}} {
			want := strings.Replace(want, "refused", cause.Error(), 1)
			answer := recording{err: fmt.Errorf("wrapped: %w", cause)}
			for _, err := range []error{
				outbox.Publish(t.Context(), &recorder{recording: answer}, levelUp{}),
				outbox.PublishSQL(t.Context(), &sqlRecorder{answer}, levelUp{}),
			} {
				require.EqualError(t, err, want)
				require.ErrorIs(t, err, cause)
			}
		}
	}
}

package integration_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
)

// stored is a row of outbox.events.
type stored struct {
	ID      int64
	EventID [16]byte
	Subject string
	Key     *string
	Headers map[string]string
	Payload []byte
}

func storedEvents(t *testing.T, pool *pgxpool.Pool) []stored {
	t.Helper()
	rows, err := pool.Query(t.Context(), "select id, event_id, subject, key, headers, payload from outbox.events order by id")
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	require.NoError(t, err)
	return events
}

// nasty are events whose bytes a careless encoding would change.
func nasty() []outbox.Event {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return []outbox.Event{
		outbox.Raw{Subject: "game.plain", Payload: []byte("{}"), ID: outbox.NewID()},
		outbox.Raw{Subject: "game.empty", ID: outbox.NewID()},
		outbox.Raw{Subject: `game."\{},NULL'$1`, Key: `k"\{},'$1`, Payload: every, Headers: map[string]string{"x": `"\{},'$1`, "e": ""}, ID: outbox.NewID()},
		outbox.Raw{Subject: "NULL", Key: "NULL", Payload: []byte("NULL"), Headers: map[string]string{"NULL": "NULL"}, ID: outbox.NewID()},
		outbox.Raw{Subject: "игра.玩家.🎮", Key: "игрок 🎮", Payload: []byte(`\x00`), Headers: map[string]string{"x": "🎮 <&>\tx"}, ID: outbox.NewID()},
	}
}

func requireStored(t *testing.T, want []outbox.Event, got []stored) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, event := range want {
		raw := event.(outbox.Raw)
		assert.Equal(t, raw.ID, got[i].EventID)
		assert.Equal(t, raw.Subject, got[i].Subject)
		assert.Equal(t, raw.Headers, got[i].Headers)
		assert.True(t, bytes.Equal(raw.Payload, got[i].Payload), "payload of %s: %x", raw.Subject, got[i].Payload)
		if raw.Key == "" {
			assert.Nil(t, got[i].Key)
		} else if assert.NotNil(t, got[i].Key) {
			assert.Equal(t, raw.Key, *got[i].Key)
		}
	}
}

// queryModes are all of pgx; those that prepare nothing are what transaction poolers need.
var queryModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

func TestPublishStoresEveryByteInEveryQueryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range queryModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			db, writer := asWriter(t)
			pool := connect(t, writer.Config().ConnString(), func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			many, single := nasty(), nasty()
			tx := begin(t, pool)
			require.NoError(t, outbox.Publish(t.Context(), tx, many...))
			require.NoError(t, tx.Commit(t.Context()))
			for _, event := range single {
				require.NoError(t, outbox.PublishOutsideTx(t.Context(), pool, event))
			}
			requireStored(t, append(many, single...), storedEvents(t, db.Pool))
		})
	}
}

func TestPublishSQLStoresEveryByteInEveryQueryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db, writer := asWriter(t)
			pool := openSQL(t, writer.Config().ConnString()+"&default_query_exec_mode="+mode)
			many, single := nasty(), nasty()
			tx := beginSQL(t, pool)
			require.NoError(t, outbox.PublishSQL(t.Context(), tx, many...))
			require.NoError(t, tx.Commit())
			for _, event := range single {
				require.NoError(t, outbox.PublishSQLOutsideTx(t.Context(), pool, event))
			}
			requireStored(t, append(many, single...), storedEvents(t, db.Pool))
		})
	}
}

func TestPublishSQLWorksWithTransactionsAndConnections(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	pool := openSQL(t, writer.Config().ConnString())
	conn, err := pool.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, outbox.PublishSQLOutsideTx(t.Context(), conn, outbox.Raw{Subject: "by.conn"}))

	for subject, end := range map[string]func(*sql.Tx) error{"rolled.back": (*sql.Tx).Rollback, "committed": (*sql.Tx).Commit} {
		tx, err := pool.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, outbox.PublishSQL(t.Context(), tx, outbox.Raw{Subject: subject}, outbox.Raw{Subject: subject}))
		require.NoError(t, end(tx))
	}
	assert.Equal(t, []string{"by.conn", "committed", "committed"}, subjects(storedEvents(t, db.Pool)))
}

func subjects(events []stored) []string {
	var list []string
	for _, event := range events {
		list = append(list, event.Subject)
	}
	return list
}

func TestOneCallDrawsIDsInTheOrderOfItsArguments(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	pool := openSQL(t, writer.Config().ConnString())
	const n = 5000
	for name, publish := range map[string]func(...outbox.Event) error{
		"pgx": func(events ...outbox.Event) error { return outbox.PublishOutsideTx(t.Context(), writer, events...) },
		"sql": func(events ...outbox.Event) error { return outbox.PublishSQLOutsideTx(t.Context(), pool, events...) },
	} {
		events := make([]outbox.Event, n)
		for i := range events {
			payload := bytes.Repeat([]byte("x"), rand.IntN(4000)) // enough to make a sort leave memory
			events[i] = outbox.Raw{Subject: fmt.Sprintf("%s.%d", name, i), Key: fmt.Sprint(rand.Int64()), Payload: payload}
		}
		require.NoError(t, publish(events...))
		got := storedEvents(t, db.Pool)
		require.Len(t, got, n)
		for i, event := range got {
			require.Equal(t, fmt.Sprintf("%s.%d", name, i), event.Subject)
			require.Equal(t, got[0].ID+int64(i), event.ID)
		}
		_, err := db.Pool.Exec(t.Context(), "truncate outbox.events")
		require.NoError(t, err)
	}
}

func TestPublishStoresManyLargeEventsInOneCall(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	large := outbox.Raw{Subject: "game.large", Payload: bytes.Repeat([]byte{0xff}, 1<<20)}
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), writer, large, large, large, large, large, large, large, large))
	require.NoError(t, outbox.PublishSQLOutsideTx(t.Context(), openSQL(t, writer.Config().ConnString()), large, large, large, large))
	got := storedEvents(t, db.Pool)
	require.Len(t, got, 12)
	for _, event := range got {
		assert.True(t, bytes.Equal(large.Payload, event.Payload))
	}
}

func TestEventsShareTheFateOfTheirTransaction(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	undo := errors.New("undo")
	err := pgx.BeginFunc(t.Context(), writer, func(tx pgx.Tx) error {
		require.NoError(t, outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "kept"}))
		inner := pgx.BeginFunc(t.Context(), tx, func(savepoint pgx.Tx) error {
			require.NoError(t, outbox.Publish(t.Context(), savepoint, outbox.Raw{Subject: "undone.to.the.savepoint"}))
			return undo
		})
		require.ErrorIs(t, inner, undo)
		assert.Empty(t, storedEvents(t, db.Pool), "nobody sees an event before the commit")
		return nil
	})
	require.NoError(t, err)
	err = pgx.BeginFunc(t.Context(), writer, func(tx pgx.Tx) error {
		require.NoError(t, outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "undone"}, outbox.Raw{Subject: "undone"}))
		return undo
	})
	require.ErrorIs(t, err, undo)
	assert.Equal(t, []string{"kept"}, subjects(storedEvents(t, db.Pool)))
}

// The library refuses before the round trip, so the caller may go on in the same transaction.
func TestARefusedEventLeavesTheTransactionUsable(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	require.NoError(t, pgx.BeginFunc(t.Context(), writer, func(tx pgx.Tx) error {
		err := outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "good"}, outbox.Raw{Subject: "not good"})
		var invalid *outbox.ValidationError
		require.ErrorAs(t, err, &invalid)
		return outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "good"})
	}))
	assert.Equal(t, []string{"good"}, subjects(storedEvents(t, db.Pool)))
}

func TestPublishSaysWhatToDoWithoutSchemaOrRights(t *testing.T) {
	t.Parallel()
	event := outbox.Raw{Subject: "game.test"}
	empty := harness.EmptyPostgres(t)
	require.ErrorContains(t, outbox.PublishOutsideTx(t.Context(), empty.Pool, event), "outbox-relay migrate up")
	require.ErrorContains(t, outbox.PublishSQLOutsideTx(t.Context(), openSQL(t, empty.URL), event), "outbox-relay migrate up")

	stranger := newRole(t, harness.Postgres(t))
	require.ErrorContains(t, outbox.PublishOutsideTx(t.Context(), connect(t, stranger.url), event), "select outbox.grant_writer(")
	require.ErrorContains(t, outbox.PublishSQLOutsideTx(t.Context(), openSQL(t, stranger.url), event), "select outbox.grant_writer(")
}

func TestSQLFunctionsWriteEvents(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	conn, err := writer.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	// As psql does: text alone, no types told.
	psql := func(statement string) string {
		results, err := conn.Conn().PgConn().Exec(t.Context(), statement).ReadAll()
		require.NoError(t, err, statement)
		return string(results[0].Rows[0][0])
	}
	const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	const document = `{"b": 1, "é": "🎮"}`
	ids := []string{
		psql(`select outbox.publish('game.a', '` + document + `')`),
		psql(`select outbox.publish('game.b', '[]', 'player:42', '{"x": "y"}', '` + id + `')`),
		psql(`select outbox.publish(subject => 'game.c', payload => 'null', event_id => null, headers => '{}')`),
		psql(`select outbox.publish_bytes('game.d', '\x00ff')`),
		psql(`select outbox.publish_bytes('game.e', '', key => 'player:42', event_id => '` + id + `')`),
	}
	got := storedEvents(t, db.Pool)
	require.Len(t, got, len(ids))
	for i, event := range got {
		assert.Equal(t, ids[i], outbox.ID(event.EventID).String(), "the id that is returned is the one stored")
	}
	assert.Equal(t, id, ids[1])
	assert.Equal(t, id, ids[4])
	assert.Equal(t, []string{"game.a", "game.b", "game.c", "game.d", "game.e"}, subjects(got))
	assert.True(t, bytes.Equal([]byte(document), got[0].Payload), "%s", got[0].Payload)
	assert.Nil(t, got[0].Key)
	assert.Nil(t, got[0].Headers)
	assert.Equal(t, "player:42", *got[1].Key)
	assert.Equal(t, map[string]string{"x": "y"}, got[1].Headers)
	assert.Equal(t, "null", string(got[2].Payload))
	assert.Equal(t, []byte{0, 0xff}, got[3].Payload)
	assert.Empty(t, got[4].Payload)

	_, err = conn.Exec(t.Context(), "select outbox.publish('game..a', '{}')")
	assert.Equal(t, string(outbox.RuleSubjectTokens), requireState(t, err, "23514").ConstraintName)
	_, err = conn.Exec(t.Context(), "select outbox.publish('game.a', null)")
	requireState(t, err, "23502")
}

// An attacker's schema in front of the search path must not change what publish does.
func TestSQLFunctionsDoNotDependOnTheSearchPath(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), `create schema evil;
		create function evil.convert_to(text, name) returns bytea language sql as $$ select '\x66'::bytea $$;
		create function evil.gen_random_uuid() returns uuid language sql as $$ select '00000000-0000-0000-0000-000000000001'::uuid $$;
		create table evil.events (like outbox.events);
		create domain evil.text as pg_catalog.text check (value = 'never')`)
	require.NoError(t, err)
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "set search_path = evil, pg_catalog")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select outbox.publish('game.a', '{}')")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "reset search_path")
	require.NoError(t, err)
	got := storedEvents(t, db.Pool)
	require.Len(t, got, 1)
	assert.Equal(t, "{}", string(got[0].Payload))
	assert.NotEqual(t, byte(1), got[0].EventID[15])
}

func TestTraceContextOfOpenTelemetryReachesTheRow(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	w := outbox.Writer{TraceContext: func(ctx context.Context) (traceparent, tracestate string) {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		return carrier["traceparent"], carrier["tracestate"]
	}}
	require.NoError(t, w.PublishOutsideTx(ctx, writer, outbox.Raw{Subject: "game.traced"}))
	got := storedEvents(t, db.Pool)
	require.Len(t, got, 1)
	assert.Equal(t, map[string]string{"traceparent": "00-01000000000000000000000000000000-0200000000000000-01"}, got[0].Headers)
}

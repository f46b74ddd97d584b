package outbox_test

import (
	"context"
	"database/sql"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// Whatever a service already holds must fit.
var (
	_ = []outbox.DB{(*pgx.Conn)(nil), (*pgxpool.Pool)(nil), (*pgxpool.Conn)(nil)}
	_ = []outbox.SQLDB{(*sql.DB)(nil), (*sql.Conn)(nil)}
)

// compiles reports whether publish(ctx, db) compiles with a db of this type.
func compiles(publish any, db reflect.Type) bool {
	return db.AssignableTo(reflect.TypeOf(publish).In(1))
}

func TestPublishCompilesWithATransactionAlone(t *testing.T) {
	t.Parallel()
	for db, want := range map[reflect.Type]bool{
		reflect.TypeFor[pgx.Tx]():        true,
		reflect.TypeFor[*pgxpool.Tx]():   true,
		reflect.TypeFor[*pgxpool.Pool](): false,
		reflect.TypeFor[*pgxpool.Conn](): false,
		reflect.TypeFor[*pgx.Conn]():     false,
		reflect.TypeFor[outbox.DB]():     false,
	} {
		assert.Equal(t, want, compiles(outbox.Publish, db), db)
		assert.Equal(t, want, compiles(outbox.Writer{}.Publish, db), db)
	}
	for db, want := range map[reflect.Type]bool{
		reflect.TypeFor[*sql.Tx]():      true,
		reflect.TypeFor[*sql.DB]():      false,
		reflect.TypeFor[*sql.Conn]():    false,
		reflect.TypeFor[outbox.SQLDB](): false,
	} {
		assert.Equal(t, want, compiles(outbox.PublishSQL, db), db)
		assert.Equal(t, want, compiles(outbox.Writer{}.PublishSQL, db), db)
	}
}

func TestPublishRefusesANilTransaction(t *testing.T) {
	t.Parallel()
	const want = "outbox: publish: the transaction is nil; pass the one that Begin returned"
	require.EqualError(t, outbox.Publish(t.Context(), nil, levelUp{}), want)
	require.EqualError(t, outbox.Publish(t.Context(), (*pgxpool.Tx)(nil), levelUp{}), want)
	require.EqualError(t, outbox.PublishSQL(t.Context(), nil, levelUp{}), want)
	require.EqualError(t, outbox.PublishSQL(t.Context(), (*sql.Tx)(nil), levelUp{}), want)
}

func TestPublishOutsideTxRefusesANilHandle(t *testing.T) {
	t.Parallel()
	const want = "outbox: publish: the database handle is nil"
	require.EqualError(t, outbox.PublishOutsideTx(t.Context(), nil, levelUp{}), want)
	require.EqualError(t, outbox.PublishOutsideTx(t.Context(), (*pgxpool.Pool)(nil), levelUp{}), want)
	require.EqualError(t, outbox.PublishSQLOutsideTx(t.Context(), nil, levelUp{}), want)
	require.EqualError(t, outbox.PublishSQLOutsideTx(t.Context(), (*sql.DB)(nil), levelUp{}), want)
}

func TestPublishExplainsThatTheTransactionHasEnded(t *testing.T) {
	t.Parallel()
	err := outbox.Publish(t.Context(), &recorder{recording: recording{err: pgx.ErrTxClosed}}, levelUp{})
	require.ErrorIs(t, err, pgx.ErrTxClosed)
	require.EqualError(t, err, "outbox: publish: tx is closed; nothing was written: publish before the transaction ends")
	err = outbox.PublishSQL(t.Context(), &sqlRecorder{recording{err: sql.ErrTxDone}}, levelUp{})
	require.ErrorIs(t, err, sql.ErrTxDone)
	require.ErrorContains(t, err, "nothing was written: publish before the transaction ends")
}

func TestPublishSQLOutsideTxRefusesATransaction(t *testing.T) {
	t.Parallel()
	var tx sqlRecorder
	require.ErrorContains(t, outbox.PublishSQLOutsideTx(t.Context(), &tx, levelUp{}), "is inside a transaction")
	assert.Empty(t, tx.calls)
}

// A test double has no connection whose status could be asked for.
func TestPublishOutsideTxTakesATestDouble(t *testing.T) {
	t.Parallel()
	for _, db := range []interface {
		outbox.DB
		one(*testing.T) []any
	}{&recorder{}, &withoutConn{}} {
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), db, levelUp{}))
		assert.Equal(t, "game.player.level_up", db.one(t)[1])
	}
}

// withoutConn is a test double whose Conn is nil.
type withoutConn struct{ recorder }

func (*withoutConn) Conn() *pgx.Conn { return nil }

func TestPublishOutsideTxAddsTheTraceContext(t *testing.T) {
	t.Parallel()
	w := outbox.Writer{TraceContext: func(context.Context) (string, string) { return traceparent, "" }}
	var db recorder
	require.NoError(t, w.PublishOutsideTx(t.Context(), &db, levelUp{}))
	assert.JSONEq(t, `{"traceparent":"`+traceparent+`"}`, db.one(t)[3].(string))
}

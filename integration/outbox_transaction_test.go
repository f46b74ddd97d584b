package integration_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// begin begins a transaction that is rolled back at the latest at the end of the test.
func begin(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func beginSQL(t *testing.T, pool *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := pool.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func TestPublishRefusesATransactionThatHasEnded(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	exec := func(query string) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), query)
			return err
		}
	}
	for name, end := range map[string]func(pgx.Tx) error{
		"commit":             func(tx pgx.Tx) error { return tx.Commit(t.Context()) },
		"rollback":           func(tx pgx.Tx) error { return tx.Rollback(t.Context()) },
		"statement commit":   exec("commit"), // pgx does not see these two
		"statement rollback": exec("rollback"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outer := begin(t, writer)
			require.NoError(t, end(outer))
			requireEnded(t, outbox.Publish(t.Context(), outer, outbox.Raw{Subject: "game.late"}))

			nested := begin(t, writer)
			inner, err := nested.Begin(t.Context())
			require.NoError(t, err)
			require.NoError(t, end(nested))
			requireEnded(t, outbox.Publish(t.Context(), inner, outbox.Raw{Subject: "game.late"}))
			assert.Empty(t, storedEvents(t, db.Pool))
		})
	}
}

func requireEnded(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, pgx.ErrTxClosed)
	require.ErrorContains(t, err, "nothing was written: publish before the transaction ends")
}

func TestPublishSQLRefusesATransactionThatHasEnded(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	pool := openSQL(t, writer.Config().ConnString())
	for name, end := range map[string]func(*sql.Tx) error{"commit": (*sql.Tx).Commit, "rollback": (*sql.Tx).Rollback} {
		tx := beginSQL(t, pool)
		require.NoError(t, end(tx), name)
		err := outbox.PublishSQL(t.Context(), tx, outbox.Raw{Subject: "game.late"})
		require.ErrorIs(t, err, sql.ErrTxDone, name)
		require.ErrorContains(t, err, "nothing was written: publish before the transaction ends", name)
	}
	assert.Empty(t, storedEvents(t, db.Pool))
}

// The events would share the fate of a transaction, and PublishOutsideTx promises that they do not.
func TestPublishOutsideTxRefusesATransaction(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	conn, err := writer.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for name, statement := range map[string]string{"open": "select 1", "failed": "select 1/0"} {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, _ = tx.Exec(t.Context(), statement)
		for _, handle := range []outbox.DB{tx, conn, conn.Conn()} {
			err := outbox.PublishOutsideTx(t.Context(), handle, outbox.Raw{Subject: "game.undone"})
			require.ErrorContains(t, err, "the connection is inside a transaction", "%s: %T", name, handle)
		}
		require.NoError(t, tx.Rollback(t.Context()))
	}
	for _, handle := range []outbox.DB{conn, conn.Conn(), writer} {
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), handle, outbox.Raw{Subject: "game.done"}), "%T", handle)
	}
	assert.Equal(t, []string{"game.done", "game.done", "game.done"}, subjects(storedEvents(t, db.Pool)))
}

func TestPublishSQLOutsideTxRefusesATransaction(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	pool := openSQL(t, writer.Config().ConnString())
	conn, err := pool.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, handle := range []outbox.SQLDB{tx, conn} {
		err := outbox.PublishSQLOutsideTx(t.Context(), handle, outbox.Raw{Subject: "game.undone"})
		require.ErrorContains(t, err, "the connection is inside a transaction", "%T", handle)
	}
	require.NoError(t, tx.Rollback())
	for _, handle := range []outbox.SQLDB{conn, pool} {
		require.NoError(t, outbox.PublishSQLOutsideTx(t.Context(), handle, outbox.Raw{Subject: "game.done"}), "%T", handle)
	}
	assert.Equal(t, []string{"game.done", "game.done"}, subjects(storedEvents(t, db.Pool)))
}

// connPool is what gorm hands out: a *sql.Tx inside a transaction, and a *sql.DB outside one.
type connPool interface {
	outbox.SQLDB
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func TestSQLTxTellsATransactionFromAPool(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	pool := openSQL(t, writer.Config().ConnString())
	_, isTx := connPool(pool).(outbox.SQLTx)
	assert.False(t, isTx, "a *sql.DB")
	conn, err := pool.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, isTx = connPool(conn).(outbox.SQLTx)
	assert.False(t, isTx, "a *sql.Conn")

	for subject, end := range map[string]func(*sql.Tx) error{"rolled.back": (*sql.Tx).Rollback, "committed": (*sql.Tx).Commit} {
		tx := beginSQL(t, pool)
		sqlTx, isTx := connPool(tx).(outbox.SQLTx)
		require.True(t, isTx)
		require.NoError(t, outbox.PublishSQL(t.Context(), sqlTx, outbox.Raw{Subject: subject}))
		require.NoError(t, end(tx))
	}
	assert.Equal(t, []string{"committed"}, subjects(storedEvents(t, db.Pool)))
}

// formattingTx formats queries itself, as bun.Tx does, which drops arguments that it finds no ? for.
type formattingTx struct{ *sql.Tx }

func (tx formattingTx) ExecContext(ctx context.Context, query string, _ ...any) (sql.Result, error) {
	return tx.Tx.ExecContext(ctx, query)
}

func TestPublishSQLExplainsATransactionThatDropsArguments(t *testing.T) {
	t.Parallel()
	db, writer := asWriter(t)
	tx := formattingTx{beginSQL(t, openSQL(t, writer.Config().ConnString()))}
	err := outbox.PublishSQL(t.Context(), tx, outbox.Raw{Subject: "game.test"})
	require.ErrorContains(t, err, "pass what it wraps, with bun tx.Tx or db.DB")
	require.NoError(t, tx.Rollback())
	assert.Empty(t, storedEvents(t, db.Pool))
}

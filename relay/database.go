package relay

import (
	"context"
	_ "embed" // the statement is a file
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed sql/settings.sql
var settingsSQL string

// link is a pool or a connection.
type link interface {
	Queryer
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// database runs the statements of one session. Each goes with its settings in one round trip and one transaction, so that nothing is
// left behind on a connection that a pooler gives to others, and each is refused by a server that is not the session's: what
// the relay has in memory is true of that one alone. What is read without a pooler in between needs neither, see [onServer]. It is
// a [Queryer].
type database struct {
	link   link
	server time.Time // when the session's server started
	term   *int64    // the lease under which something may change; nil for one that only reads
	own    *pgx.Conn // what it only reads by, where nobody lies between it and the server; nil otherwise
}

// onServer returns the database of a session that begins now, on the server that answers. It only reads. On a connection to the server
// itself, which [NewPool] has set up, statements need no settings of their own, and are planned once: a look into a quiet table then costs
// the server a tenth. A connection string with statement_cache_capacity=0 forbids that, for a pooler that does not show.
func onServer(ctx context.Context, l *pgxpool.Conn) (*database, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue(settingsSQL, nil, nil)
	results := l.SendBatch(ctx, batch)
	var started time.Time
	err := results.QueryRow().Scan(nil, &started, nil)
	if err = errors.Join(err, results.Close()); err != nil {
		return nil, fmt.Errorf("ask for the server: %w", explainRefusal(err))
	}
	d := &database{link: l, server: started}
	if l.Conn().Config().StatementCacheCapacity <= 0 {
		return d, nil
	}
	if !isPinned(l.Conn()) {
		return d, nil
	}
	_, err = l.Exec(ctx, "set plan_cache_mode = force_generic_plan")
	d.own = l.Conn()
	return d, err
}

// under returns the database on another link, for what may be done under the lease of a term alone.
func (d *database) under(term int64, l link) *database {
	return &database{link: l, server: d.server, term: &term}
}

// Query implements [Queryer].
func (d *database) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if d.own != nil {
		return d.own.Query(ctx, sql, planned(args)...)
	}
	conn, release, err := connOf(ctx, d.link)
	if err != nil {
		return nil, err
	}
	rows, err := queryBehind(ctx, conn, release, statement{settingsSQL, []any{d.server, d.term}}, statement{sql, args})
	return rows, explainRefusal(err)
}

// Exec implements [Queryer].
func (d *database) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if d.own != nil {
		return d.own.Exec(ctx, sql, planned(args)...)
	}
	rows, err := d.Query(ctx, sql, args...)
	return finish(rows, err)
}

// Begin begins a transaction with the settings, for [pgx.BeginFunc].
func (d *database) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := d.link.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, settingsSQL, d.server, d.term); err != nil {
		_ = tx.Rollback(ctx) // the error that counts came first
		return nil, explainRefusal(err)
	}
	return tx, nil
}

// prove returns nil while the session's server answers.
func (d *database) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := d.Exec(ctx, "select")
	return err
}

// planned returns the arguments of a statement that the server plans once.
func planned(args []any) []any { return append([]any{pgx.QueryExecModeCacheStatement}, args...) }

// explainRefusal tells the refusal of sql/settings.sql from other errors.
func explainRefusal(err error) error {
	if isRefused(err) {
		return fmt.Errorf("%w: another database server answers than before, another relay has taken the lease, or the session does not "+
			"read and write as the relay needs it", errAgain)
	}
	return err
}

// isRefused reports whether a condition of a statement failed that it states as a division by zero.
func isRefused(err error) bool {
	const divisionByZero = "22012"
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == divisionByZero
}

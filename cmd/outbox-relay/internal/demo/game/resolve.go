package game

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
)

const (
	resolvePause   = 200 * time.Millisecond // between two questions to a database that does not answer
	resolveTimeout = time.Minute            // after which the events stay in doubt
)

// resolve finds out what became of a turn whose commit ended in an error, and tells the ledger. It returns nil when the
// turn was committed, and otherwise cause.
func (g *Game) resolve(ctx context.Context, t turn, events []account.Event, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTimeout)
	defer cancel()
	for {
		happened, err := g.happened(ctx, t, events[0])
		switch {
		case err == nil && happened:
			g.log.Info("a commit ended in an error, and the database has it", zap.Error(cause))
			g.ledger.Committed(time.Time{}, events...)
			return nil
		case err == nil:
			g.ledger.RolledBack(events...)
			return cause
		case ctx.Err() != nil:
			return cause
		}
		wait(ctx, resolvePause)
	}
}

// happened asks the history for one event of a turn, which stands for all of them. The server may still be busy with the
// transaction in doubt; it holds the row locks of its players, so taking them first waits for its end.
func (g *Game) happened(ctx context.Context, t turn, e account.Event) (yes bool, err error) {
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		if _, err := lock(ctx, tx, t.ids); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `select exists (select from demo_game.history where event_id = $1)`, [16]byte(e.ID)).Scan(&yes)
	})
	return yes, err
}

// Events returns how many events the history of the game holds: what was committed, in the words of the database.
func (g *Game) Events(ctx context.Context) (n int, err error) {
	err = g.pool.QueryRow(ctx, `select count(*) from demo_game.history`).Scan(&n)
	return n, err
}

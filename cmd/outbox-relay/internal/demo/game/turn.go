package game

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/outbox"
)

// turn is one transaction of the game.
type turn struct {
	move
	ids      []int // the players that take part, each once
	rollBack bool  // on purpose
}

// newTurn draws a turn.
func newTurn() turn {
	m := anyMove()
	ids := rand.Perm(players)[:m.players]
	for i := range ids {
		ids[i]++
	}
	return turn{move: m, ids: ids, rollBack: rand.Float64() < rollBackShare}
}

// play plays the turn and tells the ledger what became of it. The error is one that the game did not mean to happen.
func (g *Game) play(ctx context.Context, t turn) error {
	tx, err := g.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	events, err := t.write(ctx, tx)
	if err != nil || t.rollBack {
		// COMMIT was never sent, so nothing of this turn can be committed, whatever Rollback answers.
		_ = tx.Rollback(ctx)
		g.ledger.RolledBack(events...)
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		g.ledger.InDoubt(events...)
		return g.resolve(ctx, t, events, fmt.Errorf("commit: %w", err))
	}
	g.ledger.Committed(time.Now(), events...)
	return nil
}

// write locks the players, changes them, and writes the events, each by a statement of its own, as
// services do that publish where something happens. It also returns the events when it fails.
func (t turn) write(ctx context.Context, tx pgx.Tx) ([]account.Event, error) {
	locked, err := lock(ctx, tx, t.ids)
	if err != nil {
		return nil, err
	}
	happenings := t.move.play(locked)
	events := make([]account.Event, len(happenings))
	for i, h := range happenings {
		events[i] = h.Entry()
	}
	if err := save(ctx, tx, locked, happenings); err != nil {
		return events, err
	}
	for _, h := range happenings {
		if err := outbox.Publish(ctx, tx, h); err != nil {
			return events, err
		}
	}
	return events, nil
}

// lock takes the row locks of the players, in the order of their ids so that two turns never wait for each other, and returns the
// players in the order of ids.
func lock(ctx context.Context, tx pgx.Tx, ids []int) ([]*player, error) {
	rows, err := tx.Query(ctx, `select id, level, gold, wins, events from demo_game.players
		where id = any($1) order by id for update`, ids)
	if err != nil {
		return nil, fmt.Errorf("lock players: %w", err)
	}
	locked, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[player])
	if err != nil {
		return nil, fmt.Errorf("lock players: %w", err)
	}
	if len(locked) == 2 && locked[0].ID != ids[0] {
		locked[0], locked[1] = locked[1], locked[0]
	}
	return locked, nil
}

// save writes the players and their history in one round trip.
func save(ctx context.Context, tx pgx.Tx, players []*player, happenings []happening) error {
	var batch pgx.Batch
	for _, p := range players {
		batch.Queue(`update demo_game.players set level = $2, gold = $3, wins = $4, events = $5 where id = $1`,
			p.ID, p.Level, p.Gold, p.Wins, p.Events)
	}
	for _, h := range happenings {
		e := h.Entry()
		batch.Queue(`insert into demo_game.history (event_id, player_id, seq, name) values ($1, $2::int, $3, $4)`,
			[16]byte(e.ID), e.Key, e.Seq, h.EventName())
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("save players: %w", err)
	}
	return nil
}

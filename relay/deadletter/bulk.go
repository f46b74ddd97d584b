package deadletter

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/relay"
)

// chunkEvents is how many dead letters one transaction works on.
const chunkEvents = 500

// errUnchanged rolls back a chunk that has changed nothing, so that the relay does not read everything again for it.
var errUnchanged = errors.New("nothing was changed")

// inChunks calls work for the dead letters that are meant, by id, a chunk at a time, each in a transaction of its own that also raises
// the epoch. What becomes a dead letter meanwhile is left alone, and what work leaves in the table is not met again. work returns
// how many dead letters it has removed; commit is called once they are gone. When ctx ends, the chunk at work is
// completed, and the context's cause returned.
func (s *Store) inChunks(ctx context.Context, sel Selection, work func(context.Context, pgx.Tx, []Ref) (int, error), commit func()) error {
	groups, err := s.Count(ctx, sel)
	if err != nil {
		return err
	}
	var end int64
	for _, group := range groups {
		end = max(end, group.LastID)
	}
	var last Ref
	for {
		page, err := look[Ref](ctx, s, withMeant(pageSQL), sel.args(last.ID, [16]byte(last.EventID), end, chunkEvents)...)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := s.chunk(ctx, page, work); err == nil {
			commit()
		} else if !errors.Is(err, errUnchanged) {
			return err
		}
		last = page[len(page)-1]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// chunk works on one page in one transaction, which ctx does not interrupt.
func (s *Store) chunk(ctx context.Context, page []Ref, work func(context.Context, pgx.Tx, []Ref) (int, error)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := relay.PinTx(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, raiseEpochSQL); err != nil {
			return err
		}
		removed, err := work(ctx, tx, page)
		if err == nil && removed == 0 {
			return errUnchanged
		}
		return err
	})
}

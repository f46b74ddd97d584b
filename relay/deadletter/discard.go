package deadletter

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrNoNote is returned by [Store.Discard] when the trail has no note: a discard cannot be undone, so it has a reason.
var ErrNoNote = errors.New("a discard needs a note that says why")

// Discard removes the dead letters that are meant for good, in chunks, and calls progress with the number of those that are
// done. Keys that they hold are released. The log keeps what they were, but not their payloads. It returns how many it removed;
// when ctx ends, whole chunks are done and the error is the context's cause.
func (s *Store) Discard(ctx context.Context, sel Selection, trail Trail, progress func(done int)) (done int, err error) {
	if strings.TrimSpace(trail.Note) == "" {
		return 0, ErrNoNote
	}
	actor, err := s.actor(ctx, trail.By)
	if err != nil {
		return 0, err
	}
	var gone int
	err = s.inChunks(ctx, sel, func(ctx context.Context, tx pgx.Tx, page []Ref) (int, error) {
		ids, eventIDs := columns(page)
		tag, err := tx.Exec(ctx, discardSQL, ids, eventIDs, actor, trail.Note)
		gone = int(tag.RowsAffected())
		return gone, err
	}, func() {
		done += gone
		progress(done)
	})
	return done, err
}

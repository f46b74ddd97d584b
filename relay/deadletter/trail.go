package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// Trail is what the log keeps of the person who retries or discards.
type Trail struct {
	By   string // who it is; the database role is added
	Note string // why
}

// actor returns who acts, in the words of the log.
func (s *Store) actor(ctx context.Context, by string) (string, error) {
	role, err := s.Role(ctx)
	if err != nil || by == "" {
		return role, err
	}
	return fmt.Sprintf("%s (%s)", role, by), nil
}

// Role returns the database role of the store.
func (s *Store) Role(ctx context.Context) (role string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err = s.pool.QueryRow(ctx, "select current_user").Scan(&role)
	return role, err
}

// Entry is one line of outbox.dead_letter_log.
type Entry struct {
	At      time.Time
	Action  string // retry or discard
	Actor   string
	Note    string
	ID      int64 // that the dead letter had
	EventID outbox.ID
	Subject string
	Reason  string // that the dead letter had
	Error   string // that the dead letter had
	NewID   *int64 // in outbox.events, of a retry
	Outcome string // empty where nobody waited for it
}

// History returns what people did about the dead letters with these ids or event ids, the first first.
func (s *Store) History(ctx context.Context, ids []int64, eventIDs []outbox.ID) ([]Entry, error) {
	return look[Entry](ctx, s, historySQL, uuids(eventIDs), ids)
}

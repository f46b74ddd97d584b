package deadletter

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// Letter is a dead letter without what may be large.
type Letter struct {
	ID            int64     `json:"id"` // not unique, see outbox.dead_letters
	EventID       outbox.ID `json:"event_id"`
	Subject       string    `json:"subject"`
	Key           string    `json:"key,omitempty"`
	Reason        string    `json:"reason"` // see relay.Reason
	Error         string    `json:"error"`
	Attempts      int       `json:"attempts"`
	CreatedAt     time.Time `json:"created_at"`
	FirstFailedAt time.Time `json:"first_failed_at"`
	LastFailedAt  time.Time `json:"last_failed_at"`
	PayloadBytes  int64     `json:"payload_bytes"`
	// Held says that events of the key wait until its dead letters are retried or discarded.
	Held bool `json:"held"`
}

// Ref returns what names the dead letter.
func (l Letter) Ref() Ref { return Ref{ID: l.ID, EventID: l.EventID} }

// ListOptions say how a list is sorted and where it ends.
type ListOptions struct {
	// Limit is the most that is listed; 0 means no limit.
	Limit int
	// ByID sorts by id. Otherwise those that failed last come first.
	ByID bool
}

// List returns the dead letters that are meant. Where there may be many, use [Store.Each].
func (s *Store) List(ctx context.Context, sel Selection, opts ListOptions) (letters []Letter, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err = s.Each(ctx, sel, opts, func(l Letter) error {
		letters = append(letters, l)
		return nil
	})
	return letters, err
}

// Each calls show with each of the dead letters that are meant, and keeps none of them in memory.
// It ends with the first error of show. Until it ends the database has a statement open, which a
// reader that stands still keeps open.
func (s *Store) Each(ctx context.Context, sel Selection, opts ListOptions, show func(Letter) error) error {
	limit := &opts.Limit
	if opts.Limit == 0 {
		limit = nil
	}
	rows, err := relay.Pin(s.pool).Query(ctx, withMeant(listSQL), sel.args(limit, opts.ByID)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		l, err := pgx.RowToStructByPos[Letter](rows)
		if err != nil {
			return err
		}
		if err := show(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Group is how many dead letters have one reason and one subject.
type Group struct {
	Reason, Subject string
	Events          int64
	LastID          int64     // the highest id among them
	LastFailedAt    time.Time // when the last of them failed
}

// Count returns how many dead letters are meant, by reason and subject, the most first.
func (s *Store) Count(ctx context.Context, sel Selection) ([]Group, error) {
	return look[Group](ctx, s, withMeant(countSQL), sel.args()...)
}

// Absent returns those of the ids and event ids of a selection that no dead letter has.
func (s *Store) Absent(ctx context.Context, sel Selection) ([]string, error) {
	found, err := look[struct{ Name string }](ctx, s, absentSQL, sel.IDs, uuids(sel.EventIDs))
	names := make([]string, len(found))
	for i, each := range found {
		names[i] = each.Name
	}
	return names, err
}

// Content is the part of a dead letter that may be large.
type Content struct {
	Headers json.RawMessage // as they are in the table; nil if there are none
	Payload []byte
}

// Content returns the headers and the payload of a dead letter; false if it is no longer there.
func (s *Store) Content(ctx context.Context, ref Ref) (Content, bool, error) {
	found, err := look[Content](ctx, s, showSQL, ref.ID, [16]byte(ref.EventID))
	if err != nil || len(found) == 0 {
		return Content{}, false, err
	}
	return found[0], true, nil
}

// waitingLimit is how many waiting events are looked at to find those of one key. It takes about a second.
const waitingLimit = 1_000_000

// Waiting is how many events of one key wait to be published.
type Waiting struct {
	Events int64
	Exact  bool // false if there may be more, for too much waits to look at all of it
}

// Waiting counts the events of a key that wait to be published.
func (s *Store) Waiting(ctx context.Context, key string) (Waiting, error) {
	found, err := look[Waiting](ctx, s, waitingSQL, key, waitingLimit)
	if err != nil || len(found) == 0 {
		return Waiting{}, err
	}
	return found[0], nil
}

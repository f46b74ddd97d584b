package relay

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// heldKeys are the keys whose events wait until a person has dealt with a dead letter of theirs. Their events stay in the table,
// and nowhere else: when a key is released, everything is read again. The publish loop and the sweep share it.
type heldKeys struct {
	mu     sync.Mutex
	keys   map[string]struct{}
	events int // how many events were passed over
}

func newHeldKeys(keys []string) *heldKeys {
	h := &heldKeys{keys: make(map[string]struct{}, len(keys))}
	for _, key := range keys {
		h.keys[key] = struct{}{}
	}
	return h
}

func (h *heldKeys) add(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[strings.Clone(key)] = struct{}{} // a key of an event is part of what was read with it
}

func (h *heldKeys) has(key string) bool {
	if key == "" {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, held := h.keys[key]
	return held
}

// pass counts events that were passed over.
func (h *heldKeys) pass(events int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events += events
}

func (h *heldKeys) count() (keys, events int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.keys), h.events
}

// readHeldKeys returns the keys that wait for a person.
func readHeldKeys(ctx context.Context, db Queryer) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := db.Query(ctx, "select distinct key from outbox.held_keys")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

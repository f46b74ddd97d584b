package main

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Recent remembers the latest event ids in memory. It is enough where an effect that happens twice now and then does no harm: it forgets
// everything when the process ends, and an id when so many others have come after it.
type Recent struct {
	mu    sync.Mutex
	known map[string]bool
	order []string // a ring: next is the oldest
	next  int
}

// NewRecent returns a memory of so many ids, about 150 bytes each. It should be more than the events of the longest outage.
func NewRecent(ids int) *Recent {
	return &Recent{known: make(map[string]bool, ids), order: make([]string, ids)}
}

// Once calls effect unless the id is known, and remembers the id if effect succeeds. It lets one effect happen at a time.
func (r *Recent) Once(id string, effect func() error) (isNew bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[id] {
		return false, nil
	}
	if err := effect(); err != nil {
		return false, err
	}
	delete(r.known, r.order[r.next])
	r.known[id], r.order[r.next] = true, id
	r.next = (r.next + 1) % len(r.order)
	return true, nil
}

// Printer prints events, each once as far as its memory goes.
type Printer struct {
	*Recent
	out io.Writer
}

// Handle implements [Handler].
func (p *Printer) Handle(_ context.Context, e Event) (isNew bool, err error) {
	return p.Once(e.ID, func() error {
		_, err := fmt.Fprintf(p.out, "%d %s %s %s\n", e.Seq, e.Subject, e.Key, e.Payload)
		return err
	})
}

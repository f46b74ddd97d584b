package relay

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	// compareLooks is how many parts of a stream are read after one Publish. What is left is published again.
	compareLooks = 256
	// compareGap is how far apart two events lie in a stream that are read in one look.
	compareGap = 256
)

// comparison tells, of the events that the broker recognised by their ids, those that it has from
// those whose id stands for another event there. An id is the event's identity: the broker stores
// one event of an id, within its duplicate window.
type comparison struct {
	ledger   Ledger
	events   []Event
	outcomes []Outcome
	at       map[uint64][]int // by place in the stream, the events that are said to be there
	places   []uint64         // of at, sorted
	seen     map[uint64]bool
}

// newComparison returns nil if there is nothing to compare.
func newComparison(ledger Ledger, events []Event, outcomes []Outcome) *comparison {
	c := &comparison{ledger: ledger, events: events, outcomes: outcomes}
	for i, outcome := range outcomes {
		if !outcome.Stored || !outcome.Duplicate || outcome.Sequence == 0 {
			continue
		}
		if c.at == nil {
			c.at, c.seen = make(map[uint64][]int), make(map[uint64]bool)
		}
		if c.at[outcome.Sequence] == nil {
			c.places = append(c.places, outcome.Sequence)
		}
		c.at[outcome.Sequence] = append(c.at[outcome.Sequence], i)
	}
	if c.at == nil || ledger == nil {
		return nil
	}
	slices.Sort(c.places)
	return c
}

// run reads what the stream has, and gives an event whose id stands for another one the outcome of
// an event that is refused for good. Nothing is known of an event that could not be compared: it is
// published again. It returns how many were compared with nothing, because the stream has removed
// what it recognised.
func (c *comparison) run(ctx context.Context) (removed int, err error) {
	places := c.places
	for looks := 0; len(places) > 0 && looks < compareLooks && err == nil; looks++ {
		n := 1
		for n < len(places) && places[n]-places[n-1] <= compareGap {
			n++
		}
		part := Scan{First: places[0], Last: places[n-1], Payloads: true}
		if err = c.ledger.Scan(ctx, part, func(stored StoredEvent) error { c.compare(stored); return nil }); err == nil {
			places = places[n:]
		}
	}
	for _, place := range places {
		for _, i := range c.at[place] {
			c.outcomes[i] = Outcome{}
		}
	}
	if len(places) > 0 && err == nil {
		err = ErrNotSent
	}
	for _, place := range c.places[:len(c.places)-len(places)] {
		if !c.seen[place] {
			removed += len(c.at[place])
		}
	}
	return removed, err
}

func (c *comparison) compare(stored StoredEvent) {
	c.seen[stored.Sequence] = true
	for _, i := range c.at[stored.Sequence] {
		if differs := differences(&c.events[i], stored); differs != "" {
			c.outcomes[i] = Outcome{Err: &PermanentError{Reason: ReasonIDTaken, Err: fmt.Errorf("its event_id %s is that of another event, "+
				"which the broker has stored before: row %d with subject %s, at sequence %d; they differ in %s; give each event an id of its "+
				"own, then discard this one and publish it again under another id",
				c.events[i].EventID, stored.ID, stored.Subject, stored.Sequence, differs)}}
		}
	}
}

// differences says in what two events differ that have one id, or nothing if they are the same event.
// Headers do not count: those of a trace differ at each attempt of a service to write its event. Nor
// does the subject of the same row, for a stream may be made to store events under another one.
func differences(event *Event, stored StoredEvent) string {
	var differ []string
	sameRow := event.ID == stored.ID && event.CreatedAt.Equal(stored.CreatedAt)
	if event.Subject != stored.Subject && !sameRow {
		differ = append(differ, "subject")
	}
	if event.Key != stored.Key {
		differ = append(differ, "key")
	}
	if !bytes.Equal(event.Payload, stored.Payload) {
		differ = append(differ, "payload")
	}
	return strings.Join(differ, ", ")
}

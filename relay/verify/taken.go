package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gameoutbox/relay/relay"
)

// takenGap is how far apart two messages lie in a stream that are read in one go.
const takenGap = 1024

// compareTaken compares rows that the stream does not hold with what it holds under their event ids. If that is the
// same, the row was written twice or replayed, and the stream has it; otherwise it has dropped one event for another.
func (r *run) compareTaken(ctx context.Context, l *look) error {
	at := make(map[uint64][]suspect)
	var rows []identity
	for _, each := range l.suspects {
		if seen := l.absent[each.eventID].sequences; len(seen) > 0 {
			at[seen[0]] = append(at[seen[0]], each)
			rows = append(rows, each.identity)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	payloads, err := r.store.payloads(ctx, rows)
	if err != nil {
		return fmt.Errorf("read the payloads of %d rows: %w", len(rows), err)
	}
	places := slices.Sorted(maps.Keys(at))
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n]-places[n-1] <= takenGap {
			n++
		}
		part := relay.Scan{First: places[0], Last: places[n-1], Payloads: true}
		err := r.opts.Ledger.Scan(ctx, part, func(event relay.StoredEvent) error {
			for _, each := range at[event.Sequence] {
				r.judgeTaken(each, payloads, event)
			}
			return nil
		})
		if err != nil {
			return err
		}
		places = places[n:]
	}
	return nil
}

// judgeTaken decides on a row beside the message that has its event id. Headers do not count: those of a trace differ
// when an event is written once more.
func (r *run) judgeTaken(s suspect, payloads map[identity]digest, event relay.StoredEvent) {
	payload, kept := payloads[s.identity]
	if !kept {
		return
	}
	stored := contentOf(event)
	row := content{subject: s.subject, key: s.key, headers: stored.headers, payload: payload}
	if diff := row.differences(stored); diff != "" {
		r.found(s.finding(Altered, fmt.Sprintf("the stream holds row %d under its event id: %s", event.ID, diff), event.Sequence))
	}
}

package verify

import (
	"context"
	"time"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// look is a walk through the stream for single events, headers only. The walk before it has trusted the receipts to say where
// events lie; this one trusts nobody, so that nothing is called missing or doubled that is not.
type look struct {
	ledger    relay.Ledger
	state     relay.StreamState
	suspects  []suspect               // by receipt, and in it by id
	absent    map[outbox.ID]*sighting // expected nowhere, by event id
	single    map[identity]*sighting  // expected once
	numbers   map[int64]outbox.ID     // of the suspects
	impostors map[int64]uint64        // where a message has the number of a suspect and another event id
	since     time.Time
}

// sighting is where an event was seen.
type sighting struct {
	stray     stray
	sequences []uint64
}

func newLook(ledger relay.Ledger, state relay.StreamState) *look {
	return &look{
		ledger: ledger, state: state, absent: make(map[outbox.ID]*sighting), single: make(map[identity]*sighting),
		numbers: make(map[int64]outbox.ID), impostors: make(map[int64]uint64),
	}
}

// expect looks for an event that was not found.
func (l *look) expect(s suspect) {
	l.suspects = append(l.suspects, s)
	l.absent[s.eventID] = new(sighting)
	l.numbers[s.id] = s.eventID
	l.after(s.created)
	// What the stream has recognised and dropped it had stored within the duplicate window before.
	l.after(s.firstSettled.Add(-time.Duration(float64(l.state.DuplicateWindow) * late)))
}

// expectOnce looks for the other messages of a row.
func (l *look) expectOnce(strays []stray) {
	l.single[strays[0].message.identity] = &sighting{stray: strays[0]}
	l.after(strays[0].created)
}

// after widens the look to what was stored after a time.
func (l *look) after(t time.Time) {
	if t = t.Add(-clockMargin); l.since.IsZero() || t.Before(l.since) {
		l.since = t
	}
}

// run looks.
func (l *look) run(ctx context.Context, progress func(Progress)) error {
	if len(l.absent)+len(l.single) == 0 || l.state.First > l.state.Last {
		return nil
	}
	part := relay.Scan{First: max(l.state.First, 1), Last: l.state.Last, Since: l.since}
	return l.ledger.Scan(ctx, part, func(event relay.StoredEvent) error {
		progress(Progress{Doing: "looking for what is missing", Done: event.Sequence - part.First, Total: part.Last - part.First + 1})
		l.see(event)
		return nil
	})
}

func (l *look) see(event relay.StoredEvent) {
	if seen := l.absent[event.EventID]; seen != nil && len(seen.sequences) == 0 {
		seen.sequences = append(seen.sequences, event.Sequence)
	}
	if seen := l.single[identity{id: event.ID, eventID: event.EventID}]; seen != nil {
		seen.sequences = append(seen.sequences, event.Sequence)
	}
	if eventID, known := l.numbers[event.ID]; known && eventID != event.EventID {
		l.impostors[event.ID] = event.Sequence
	}
}

// twice returns a finding for each row that was seen more than once.
func (l *look) twice() (findings []Finding) {
	for _, seen := range l.single {
		if len(seen.sequences) > 1 {
			findings = append(findings, seen.stray.row.finding(Duplicated, "", seen.sequences...))
		}
	}
	return findings
}

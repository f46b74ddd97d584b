package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

const (
	// trialUnanswered is how many of the events that got no answer a trial keeps.
	trialUnanswered = 4
	// trialEvents is how many events it keeps in all, and trialOfSubject how many of those that the
	// fallback has stored may have the same subject.
	trialEvents    = 16
	trialOfSubject = 2
	// trialKeys is how many keys it remembers. Then it takes no more events.
	trialKeys = 4096
	// trialBytes is the most that an event may weigh that is kept beside another one.
	trialBytes = 64 << 10
	// maxSuspects bounds the events that are remembered.
	maxSuspects = 1024
)

// trial is what a primary that stalled must store before it is used again. It keeps some events
// that the primary has not stored: the first ones of their keys, so that no event overtakes another
// when they are stored before the rest.
type trial struct {
	state  relay.StreamState // of the primary's stream, which stands still
	events []relay.Event
	keys   map[string]bool // of all events that were seen
	told   bool            // that the primary still stores nothing
}

func newTrial(state relay.StreamState) *trial { return &trial{state: state, keys: map[string]bool{}} }

// addUnanswered takes events that the primary left without an answer.
func (t *trial) addUnanswered(events []relay.Event, outcomes []relay.Outcome) {
	for i := range events {
		if t.isFirst(&events[i]) && outcomes[i] == (relay.Outcome{}) && len(t.events) < trialUnanswered {
			t.keep(&events[i])
		}
	}
}

// addStored takes events that the fallback has stored. Among them are some that the primary would
// store, should those that got no answer be the reason themselves.
func (t *trial) addStored(events []relay.Event, outcomes []relay.Outcome) {
	if t == nil {
		return
	}
	for i := range events {
		if len(t.events) >= trialEvents || len(t.keys) >= trialKeys {
			return
		}
		if t.isFirst(&events[i]) && outcomes[i].Stored && t.ofSubject(events[i].Subject) < trialOfSubject {
			t.keep(&events[i])
		}
	}
}

// isFirst reports whether an event is the first of its key that is seen, and not kept already.
func (t *trial) isFirst(event *relay.Event) bool {
	if event.Key == "" {
		return !slices.ContainsFunc(t.events, func(e relay.Event) bool { return e.EventID == event.EventID })
	}
	seen := t.keys[event.Key]
	t.keys[event.Key] = true
	return !seen
}

func (t *trial) ofSubject(subject string) (n int) {
	for i := range t.events {
		if t.events[i].Subject == subject {
			n++
		}
	}
	return n
}

// keep copies an event, for its memory is the relay's.
func (t *trial) keep(event *relay.Event) {
	if len(event.Payload) > trialBytes && len(t.events) > 0 {
		return
	}
	kept := *event
	kept.Payload, kept.Headers = slices.Clone(event.Payload), maps.Clone(event.Headers)
	t.events = append(t.events, kept)
}

// unstored returns the events that a Publish has not stored which stored others.
func (t *trial) unstored(events []relay.Event, outcomes []relay.Outcome) []outbox.ID {
	if t == nil {
		return nil
	}
	stored := map[outbox.ID]bool{}
	for i := range events {
		stored[events[i].EventID] = outcomes[i].Stored
	}
	var left []outbox.ID
	for i := range t.events {
		if id := t.events[i].EventID; !stored[id] {
			left = append(left, id)
		}
	}
	return left
}

// suspects are events that got no answer while the primary stored others. They are no sign of an outage any more.
type suspects map[outbox.ID]bool

func (s *suspects) add(ids []outbox.ID) {
	if len(ids) > 0 && (*s == nil || len(*s) > maxSuspects) {
		*s = suspects{}
	}
	for _, id := range ids {
		(*s)[id] = true
	}
}

// all reports whether every event without an answer is one.
func (s suspects) all(events []relay.Event, outcomes []relay.Outcome) bool {
	for i := range events {
		if outcomes[i] == (relay.Outcome{}) && !s[events[i].EventID] {
			return false
		}
	}
	return true
}

// errNotTried says that events could not be sent now.
var errNotTried = errors.New("not tried yet")

// prove returns nil if the primary stores events, as far as that is in question. One that has
// stalled answers questions all the same. So its stream must have grown, or it must store events
// that it has not stored before.
func (p *Publisher) prove(ctx context.Context) error {
	t := p.trialNow()
	if t == nil {
		return nil
	}
	state, err := p.primary.Publisher.(relay.Ledger).Inspect(ctx) // who can stall is one
	if err != nil {
		return err
	}
	if standsStill(state, t.state) {
		outcomes, err := p.try(t.events)
		if !slices.ContainsFunc(outcomes, func(o relay.Outcome) bool { return o.Stored }) {
			for i := 0; err == nil && i < len(outcomes); i++ {
				err = outcomes[i].Err
			}
			p.tell(t, err)
			return fmt.Errorf("%s has stored nothing yet since it stalled: %w", p.primary.Name(), err)
		}
		p.update(func(m *machine) { m.suspects.add(t.unstored(t.events, outcomes)) })
	}
	p.update(func(m *machine) { m.trial = nil })
	p.log.Info("primary stores events again", zap.String("broker", p.primary.Name()))
	return nil
}

// trialNow returns a copy of the trial that is due, or nil.
func (p *Publisher) trialNow() (t *trial) {
	p.update(func(m *machine) {
		if m.trial != nil {
			t = &trial{state: m.trial.state, events: slices.Clone(m.trial.events), told: m.trial.told}
		}
	})
	return t
}

// try publishes events to the primary while the fallback is used, under the lease of the session.
func (p *Publisher) try(events []relay.Event) ([]relay.Outcome, error) {
	p.mu.Lock()
	session := p.session
	p.mu.Unlock()
	if session == nil || !relay.MaySend(session) {
		return nil, fmt.Errorf("%w: no session is under way", errNotTried)
	}
	if !p.primary.publishing.TryLock() {
		return nil, fmt.Errorf("%w: the last Publish has yet to return", errNotTried)
	}
	defer p.primary.publishing.Unlock()
	return p.primary.Publisher.Publish(session, events)
}

// tell logs once that the primary still stores nothing.
func (p *Publisher) tell(t *trial, err error) {
	if t.told || errors.Is(err, errNotTried) || errors.Is(err, context.Canceled) {
		return
	}
	p.log.Warn("primary still stores nothing", zap.String("broker", p.primary.Name()), zap.Error(err))
	p.update(func(m *machine) {
		if m.trial != nil {
			m.trial.told = true
		}
	})
}

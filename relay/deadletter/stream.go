package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// clockMargin is how far the clocks of this host and of the broker may be apart.
const clockMargin = 10 * time.Minute

// Stream is a stream as it was before a retry. It tells afterwards what the stream has stored since. Make one with [Observe].
type Stream struct {
	ledger relay.Ledger
	before relay.StreamState
	began  time.Time
}

// Observe looks at a stream before a retry. Its errors are those of [relay.Ledger].
func Observe(ctx context.Context, ledger relay.Ledger) (*Stream, error) {
	state, err := ledger.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	return &Stream{ledger: ledger, before: state, began: time.Now()}, nil
}

// Name returns the name of the stream.
func (s *Stream) Name() string { return s.before.Stream }

// DuplicateWindow returns for how long the stream recognises an event that it has stored.
func (s *Stream) DuplicateWindow() time.Duration { return s.before.DuplicateWindow }

// Compare looks for the acknowledged ones of retried events in the stream, and makes them Stored or Duplicate. If doubt is not
// empty, it says why some are still Acknowledged afterwards: the stream may have removed them already. Its errors
// are those of [relay.Ledger].
func (s *Stream) Compare(ctx context.Context, retried []Retried) (doubt string, err error) {
	missing := make(sought)
	for i := range retried {
		if each := &retried[i]; each.Outcome == Acknowledged {
			missing[each.EventID] = append(missing[each.EventID], each)
		}
	}
	if len(missing) == 0 {
		return "", nil
	}
	after, err := s.ledger.Inspect(ctx)
	if err != nil {
		return "", err
	}
	if !after.Continues(s.before) {
		return fmt.Sprintf("the stream %q has lost events meanwhile", after.Stream), nil
	}
	for _, part := range []relay.Scan{s.since(after), s.window()} {
		if err := s.find(ctx, part, missing); err != nil {
			return "", err
		}
	}
	if doubt := s.doubt(after); doubt != "" && len(missing) > 0 {
		return doubt, nil
	}
	for _, same := range missing {
		for _, each := range same {
			each.Outcome = Duplicate
		}
	}
	return "", nil
}

// since is the part of the stream that was stored since the retry.
func (s *Stream) since(after relay.StreamState) relay.Scan {
	return relay.Scan{First: max(s.before.Last+1, after.First), Last: after.Last}
}

// window is the part of the stream before the retry whose events it may have recognised.
func (s *Stream) window() relay.Scan {
	return relay.Scan{
		First: max(s.before.First, 1), Last: s.before.Last, Since: s.began.Add(-s.before.DuplicateWindow - clockMargin),
	}
}

// sought are the events to be found, by event id. Two dead letters can have the same one.
type sought map[outbox.ID][]*Retried

// found takes an event of the stream out. Of those with its event id it is the one that has its number since the retry, and the
// others were dropped.
func (m sought) found(event relay.StoredEvent, isNew bool) {
	for _, each := range m[event.EventID] {
		if isNew && event.ID == each.NewID {
			each.Outcome = Stored
			continue
		}
		each.Outcome = Duplicate
		each.Found = &Found{
			Sequence: event.Sequence, ID: event.ID, Subject: event.Subject, Key: event.Key, StoredAt: event.StoredAt,
		}
	}
	delete(m, event.EventID)
}

// errFound ends a scan that has found everything.
var errFound = errors.New("everything was found")

// find looks for what is missing in a part of the stream.
func (s *Stream) find(ctx context.Context, part relay.Scan, missing sought) error {
	if part.First > part.Last || len(missing) == 0 {
		return nil
	}
	err := s.ledger.Scan(ctx, part, func(event relay.StoredEvent) error {
		missing.found(event, event.Sequence > s.before.Last)
		if len(missing) == 0 {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// doubt says why an event that the stream does not hold may have been stored nevertheless; empty if it was not.
func (s *Stream) doubt(after relay.StreamState) string {
	switch {
	case after.Expires != "" && (s.before.KeepsUntil == 0 || after.Last > s.before.KeepsUntil):
		return fmt.Sprintf("the stream %q removes events by itself: %s", after.Stream, after.Expires)
	case after.First > s.before.Last+1:
		return fmt.Sprintf("the stream %q has removed what it held up to sequence %d", after.Stream, after.First-1)
	}
	return ""
}

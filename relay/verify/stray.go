package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// strayBatch is how many messages that match no row are kept before the database is asked about them.
const strayBatch = 8192

// message is one that matched no row when it was read.
type message struct {
	identity
	sequence uint64
	content  content
	behind   int64 // the id of a later event of its key that stands before it; 0 if there is none
}

// stray is a message whose row has a receipt that says that it lies elsewhere.
type stray struct {
	message message
	row     row
	created time.Time
}

// strayFinder sorts out the messages that match no row. Most belong to rows that were purged, or that are not selected; what is
// left is kept: it is a finding, or almost.
type strayFinder struct {
	store   store
	pending []message
	kept    map[identity][]stray
}

func newStrayFinder(s store) *strayFinder {
	return &strayFinder{store: s, kept: make(map[identity][]stray)}
}

func (f *strayFinder) add(ctx context.Context, event relay.StoredEvent, behind int64) error {
	f.pending = append(f.pending, message{
		identity: identity{id: event.ID, eventID: event.EventID}, sequence: event.Sequence, content: contentOf(event), behind: behind,
	})
	if len(f.pending) < strayBatch {
		return nil
	}
	return f.flush(ctx)
}

// flush asks the database about the messages that are pending.
func (f *strayFinder) flush(ctx context.Context) error {
	if len(f.pending) == 0 {
		return nil
	}
	found, err := f.store.strays(ctx, f.pending)
	if err != nil {
		return fmt.Errorf("look for the rows of %d messages: %w", len(f.pending), err)
	}
	f.pending = f.pending[:0]
	for _, each := range found {
		f.kept[each.message.identity] = append(f.kept[each.message.identity], each)
	}
	return nil
}

// claim returns the strays of a row, which are accounted for from now on.
func (f *strayFinder) claim(of identity) []stray {
	found := f.kept[of]
	delete(f.kept, of)
	return found
}

package jetstream

import (
	"fmt"
	"sync"

	"github.com/gameoutbox/relay/relay"
)

// baseline is what the stream is known to have reached: the state that the relay accepted, and what was acknowledged since.
type baseline struct {
	mu       sync.Mutex
	accepted bool
	state    relay.StreamState
	doubtful bool // an acknowledgement contradicted the state
}

// accept begins anew with a state that the relay has dealt with.
func (b *baseline) accept(state relay.StreamState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted, b.state, b.doubtful = true, state, false
}

// last returns the last sequence that the stream is known to have reached.
func (b *baseline) last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.accepted {
		return 0
	}
	return b.state.Last
}

// reached returns the last sequence that any stream was seen to reach.
func (b *baseline) reached() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state.Last
}

// raise notes that the stream has reached a sequence.
func (b *baseline) raise(last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Last = max(b.state.Last, last)
}

// doubt notes that an acknowledgement contradicted the state.
func (b *baseline) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubtful = b.accepted
}

// check compares a stream that was looked at anew with what it had reached. Publish does so once for each look: later the stream
// of that look is behind what was published since.
func (b *baseline) check(t *target) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.accepted || t.checked && !b.doubtful {
		return nil
	}
	if !b.doubtful && t.state.Continues(b.state) {
		t.checked = true
		return nil
	}
	return fmt.Errorf("%w: stream %q of %s ends at sequence %d, and was at %d of %s",
		relay.ErrRewound, t.stream, t.state.Incarnation, t.state.Last, b.state.Last, b.state.Incarnation)
}

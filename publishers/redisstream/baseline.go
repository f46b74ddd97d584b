package redisstream

import (
	"strconv"
	"sync"

	"github.com/gameoutbox/relay/relay"
)

// baseline is what the stream is known to have reached: the state that the relay accepted, and what was stored since. The script
// compares it with the stream before it adds anything.
type baseline struct {
	mu   sync.Mutex
	mark string // of the stream; empty before a state was accepted
	last uint64
}

// accept begins anew with a state that the relay has dealt with.
func (b *baseline) accept(state relay.StreamState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mark, b.last = state.Incarnation, state.Last
}

// raise notes that the stream has reached a sequence.
func (b *baseline) raise(last uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last, last)
}

// expected returns the mark that the stream must have, empty for any, and the id that it must have reached.
func (b *baseline) expected() (mark, reached string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mark, entryID(b.last)
}

// entryID returns the id of the entry at a sequence, see [parseSequence].
func entryID(sequence uint64) string {
	return strconv.FormatUint(sequence>>sequenceBits, 10) + "-" + strconv.FormatUint(sequence&lastNumber, 10)
}

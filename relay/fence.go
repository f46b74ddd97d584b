package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// fencePause is the pause between two looks whether a lease that has lapsed is renewed.
const fencePause = 10 * time.Millisecond

// ErrLeaseLost says that this relay cannot prove that it leads. The context of a Publish ends with it as soon as another relay is known to
// lead. The publisher needs to do nothing but what the end of any context asks for, see [MaySend].
var ErrLeaseLost = errors.New("this relay can no longer prove that it leads")

// marginShare is the part of a lease by which a leader stops before another relay can have it. See doc.go for what it covers.
const marginShare = 10

// fence is the moment up to which a relay may publish. It is told by [sinceBoot] alone: the wall clock has no say.
type fence struct{ until atomic.Int64 }

// move sets the fence for a lease that was asked for at a moment and that lasts ttl. The database counted from a later moment.
func (f *fence) move(asked, ttl time.Duration) { f.until.Store(int64(asked + ttl - ttl/marginShare)) }

// shut ends the right to publish at once.
func (f *fence) shut() { f.until.Store(0) }

// left returns for how long this relay may publish if nothing is renewed; 0 or less if it may not.
func (f *fence) left() time.Duration { return time.Duration(f.until.Load()) - sinceBoot() }

// open reports whether this relay may publish. A process is stopped where a system call returns, as a rule, and [sinceBoot] is one, so that
// it would go on with an answer from before its pause. [time.Now] is none: it has the last word, and stands still only where the host sleeps.
func (f *fence) open() bool {
	began := time.Now()
	left := f.left()
	return left > 0 && time.Since(began) < left
}

// guard returns a context for Publish that [MaySend] knows.
func (f *fence) guard(ctx context.Context) context.Context {
	return context.WithValue(ctx, fenceKey{}, f)
}

type fenceKey struct{}

// MaySend reports whether what a Publish with this context has to say may still be sent. A publisher that has written something
// into a buffer asks it before each write to the network, and sends nothing of that Publish after it has returned false: a process that
// was paused may wake up long after another relay has taken over, before any timer of its own has fired.
func MaySend(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	f, ok := ctx.Value(fenceKey{}).(*fence)
	return !ok || f.open()
}

// awaitFence waits until a Publish with the context publishing may begin, and reports false if ctx ends first.
func awaitFence(ctx, publishing context.Context) bool {
	for !MaySend(publishing) {
		if !pause(ctx, fencePause) {
			return false
		}
	}
	return true
}

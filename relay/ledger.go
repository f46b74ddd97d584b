package relay

import (
	"context"
	"errors"
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// Ledger is an optional part of a [Publisher] whose broker can be read back. With it the relay finds out after a crash what it
// had published without settling it, and notices a stream that has lost what it acknowledged. Its methods may be called at any
// time, also during a Publish.
type Ledger interface {
	// Inspect returns the state of the stream as it is now. It makes the stream ready first, as Publish does, and its errors are
	// those of Publish: see [ErrUnavailable] and [ErrMisconfigured].
	Inspect(ctx context.Context) (StreamState, error)

	// Accept says that the relay has dealt with the stream in this state. From then on Publish makes sure that the stream
	// goes on from there: once it does not, Publish sends nothing and returns an error that wraps [ErrRewound], until the
	// next Accept. Before the first Accept nothing is made sure of.
	Accept(state StreamState)

	// Scan calls found for the relay's events that the stream holds, in the order of the stream. It leaves out what others
	// have stored there. It ends with the error that found returns, or with one as those of Inspect.
	Scan(ctx context.Context, scan Scan, found func(StoredEvent) error) error
}

// Scan says which part of a stream [Ledger].Scan reads.
type Scan struct {
	// First and Last are the sequences that bound it, both included. Last is not behind the end of the stream.
	First, Last uint64
	// Since leaves out what the stream stored before; the zero time leaves out nothing.
	Since time.Time
	// Payloads asks for whole events; without it Payload and Headers may be left empty, which is much cheaper.
	Payloads bool
}

// StoredEvent is an event of the relay's as a stream holds it.
type StoredEvent struct {
	Sequence uint64
	// ID and EventID are those of the event that was published.
	ID      int64
	EventID outbox.ID
	Subject string
	Key     string
	Headers map[string]string // the event's own
	Payload []byte
	// CreatedAt is that of the event; the zero time where it was not read.
	CreatedAt time.Time
	StoredAt  time.Time // by the broker's clock
}

// StreamState describes a stream at one moment.
type StreamState struct {
	// Stream is its name.
	Stream string
	// Incarnation tells it from another stream of the same name that replaced it.
	Incarnation string
	// First and Last are the sequences of the first and the last event that it holds. After everything was removed, First is
	// Last + 1. An empty stream that never held anything has 1 and 0.
	First, Last uint64
	// Expires says by which settings, other than MaxAge, the stream removes events by itself, in words for an operator: a limit,
	// consumption. It is empty if there are none.
	Expires string
	// KeepsUntil is the sequence up to which the stream removes nothing by these settings: they are not reached before. It is 0 for a
	// stream that may remove events at any moment, and math.MaxInt64 for one that never does.
	KeepsUntil uint64
	// Room is how many more events the stream takes in any case before it is full; math.MaxInt64 if it has no limit.
	Room uint64
	// Anywhere says that what Expires tells of removes events from any place of the stream, not only from its beginning.
	Anywhere bool
	// MaxAge is after how long the stream drops an event; 0 means never.
	MaxAge time.Duration
	// DuplicateWindow is how long the stream recognises an event that it has stored.
	DuplicateWindow time.Duration
	// Leader names the server that described the stream, where several keep it; it is empty otherwise.
	Leader string
	// CatchUp is for how long a server that has just become the leader may name an older Last than the stream has reached; 0 means never.
	// Until then the relay does not take that for a loss.
	CatchUp time.Duration
}

// Continues reports whether a stream can have become what it is now by going on from an earlier state. If it cannot, it has lost
// events that it acknowledged.
func (s StreamState) Continues(earlier StreamState) bool {
	return s.Incarnation == earlier.Incarnation && s.Last >= earlier.Last
}

// ErrRewound is wrapped by the error of a Publish that found a stream which does not go on from the state that was accepted, see
// [Ledger]. The relay deals with what was lost, and accepts the new state.
var ErrRewound = errors.New("the stream has lost acknowledged events")

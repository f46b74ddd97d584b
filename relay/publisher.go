package relay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Publisher stores events in a broker. It is the only thing to implement for a new broker; the suite in
// publishers/publishertest tells whether an implementation keeps the contract.
type Publisher interface {
	// Name is the broker's name in logs, metrics and status: "jetstream", "redis", "noop".
	Name() string

	// Publish stores events in order and waits until the broker has answered for each, or until it is clear that it
	// will not. It is never called by two goroutines at once.
	//
	// outcomes[i] belongs to events[i]; there are always len(events) outcomes, whatever err is. The zero Outcome means
	// that nothing is known of the event, so that a forgotten event is sent again, never lost. An event for
	// which the broker gave its word is Stored; one that it refused carries an Err (see [Outcome]).
	//
	// A non-nil err speaks of the whole broker (see [ErrUnavailable], [ErrMisconfigured],
	// [ThrottledError], [ErrNotSent]; anything else means that the outcome is ambiguous); it holds
	// for those events whose outcome says nothing.
	//
	// An event that is not Stored and whose refusal is not a [PermanentError] may be followed by stored events of other
	// keys, but never by a stored event of its own key.
	//
	// Publish may be called again with the same events: the event's EventID is the broker's dedup id, and an event that
	// was stored before is answered Stored with Duplicate set. When ctx ends, Publish returns soon, with the outcomes
	// known by then and ctx's error. From then on nothing of these events may leave the process: a publisher that has bytes of them in
	// a buffer asks [MaySend] before each write.
	Publish(ctx context.Context, events []Event) (outcomes []Outcome, err error)

	// Close gives the connection back. It does not wait for anything that Publish has not waited for. It is
	// called once, after the last Publish has returned.
	Close(ctx context.Context) error
}

// Connector is an optional part of a [Publisher] that has a connection. While nothing is published the relay asks it now and then, so
// that its status tells of a broker that went away before the next event does.
type Connector interface {
	// Connect returns nil if a Publish could begin now, and otherwise the error that it would return. It may connect first. It
	// may be called at any time, also during a Publish.
	Connect(ctx context.Context) error
}

// Placeholder is an optional part of a [Publisher] that stands in for a broker which is not
// configured, and stores nothing. The relay then takes no lease and changes nothing in the
// database. It calls Publish, so that the events can be shown, only while the outbox is new: no
// relay with a broker leads it or ever did.
type Placeholder interface {
	// Missing says which settings are missing, for an operator.
	Missing() string
}

// KeyHolder is an optional part of a [Publisher]. A relay that holds the key of a dead letter tells it so before the first
// Publish: then no later event of a key may be stored behind a [PermanentError] either, in the same call.
type KeyHolder interface {
	HoldKeys()
}

// Warner is an optional part of a [Publisher] that knows what an operator should know of the broker although it stores events.
type Warner interface {
	// Warnings returns what holds now, a sentence each that ends in the next step. It may be called at any time, and asks no server.
	Warnings() []string
}

// Outcome is what a publisher knows of one event after Publish. The zero value means: nothing is known.
type Outcome struct {
	// Stored says that the broker acknowledged the event; only then is the row settled.
	Stored bool
	// Duplicate says, of a Stored event, that the broker knew its EventID and stored nothing new. Of a
	// publisher that is a [Ledger] the relay then compares it with what lies at Sequence.
	Duplicate bool
	// Repeated says, of a Duplicate, that this Publish had sent the event before, and the broker may
	// have stored it then: it does not count as a duplicate.
	Repeated bool
	// Sequence is a place in the broker's stream: of a Duplicate its own, of any other Stored event its own or a later one.
	// It is 0 where the broker did not tell it.
	Sequence uint64
	// Err says why the broker did not take this event. A [PermanentError] makes it a dead letter; a [ThrottledError]
	// delays its key without spending an attempt; every other error delays its key and spends an attempt. An event that
	// may be stored all the same has an [AmbiguousError]. It is nil for a Stored event.
	Err error
}

// ErrUnavailable is wrapped by the error of a Publish that found no broker to talk to: connection lost, no leader, server
// shutting down. The relay pauses and spends no attempt.
var ErrUnavailable = errors.New("broker unavailable")

// ErrMisconfigured is wrapped by the error of a Publish that cannot succeed until an operator changes something: no such
// stream, no permission, a sealed stream. The relay keeps the rows, reports that it is not ready, and tries again slowly. The
// message says what to change.
var ErrMisconfigured = errors.New("broker misconfigured")

// ErrNotSent is wrapped by the error of a Publish that ended early although the broker works, so that no call takes too
// long: the events of which it says nothing were not sent in it. At least one other was stored or refused, so the relay
// goes on with them at once.
var ErrNotSent = errors.New("the call ended before all events were sent")

// Reason says in one word why an event can never be published; it is stored in outbox.dead_letters.reason.
type Reason string

// The reasons of a [PermanentError].
const (
	ReasonTooLarge   Reason = "too_large"   // more bytes than the broker takes, payload and headers together
	ReasonBadSubject Reason = "bad_subject" // a subject that the broker does not take
	ReasonBadHeader  Reason = "bad_header"  // headers that the broker does not take
	ReasonUnreadable Reason = "unreadable"  // the relay's own: a row with an id or a time that it cannot represent
	ReasonIDTaken    Reason = "id_taken"    // the relay's own: the broker has another event under the event's id
	ReasonRefused    Reason = "refused"     // refused for good for another cause, which the error tells
	ReasonAttempts   Reason = "attempts"    // the relay's own: relay.max_attempts were spent
)

// Reasons returns every reason that a dead letter can have.
func Reasons() []Reason {
	return []Reason{ReasonTooLarge, ReasonBadSubject, ReasonBadHeader, ReasonUnreadable, ReasonIDTaken, ReasonRefused, ReasonAttempts}
}

// PermanentError is the refusal of one event that no retry can change. The relay moves the event to
// outbox.dead_letters. It belongs in [Outcome].Err, never in the error of a whole Publish.
type PermanentError struct {
	Reason Reason
	Err    error
}

func (e *PermanentError) Error() string {
	return fmt.Sprintf("refused for good (%s): %v", e.Reason, e.Err)
}
func (e *PermanentError) Unwrap() error { return e.Err }

// ThrottledError says that the broker has no room or no time now: a full stream, too many requests. The relay waits
// RetryAfter, or its own backoff where that is 0, and spends no attempt.
type ThrottledError struct {
	RetryAfter time.Duration
	Err        error
}

func (e *ThrottledError) Error() string { return fmt.Sprintf("broker is throttling: %v", e.Err) }
func (e *ThrottledError) Unwrap() error { return e.Err }

// AmbiguousError is the error of one event that was sent, and may be stored although the broker did
// not acknowledge it. It belongs in [Outcome].Err, where the publisher knows that this event alone is
// the matter; what it wraps decides whether an attempt is spent. The relay sends the event again while
// the broker knows its id, and looks into the stream before it does so later.
type AmbiguousError struct{ Err error }

func (e *AmbiguousError) Error() string { return e.Err.Error() }
func (e *AmbiguousError) Unwrap() error { return e.Err }

// StalledError is the error of a Publish whose events the broker did not store although it answers questions: it left them without an
// answer, and its stream has not grown meanwhile. The relay treats it as ambiguous, for one event may be the cause, unless it wraps
// [ErrUnavailable]. A [Switcher] counts it as an outage once it lasts, see publishers/failover.
type StalledError struct {
	State StreamState // of the stream, after the Publish
	Err   error
}

func (e *StalledError) Error() string { return e.Err.Error() }
func (e *StalledError) Unwrap() error { return e.Err }

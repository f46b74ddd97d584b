package relay

import (
	"fmt"
	"time"
)

// State says what a relay is doing.
type State string

// The states of a relay; doc.go draws how they follow each other.
const (
	StateConnecting State = "connecting" // no database session yet
	StateStandby    State = "standby"    // another relay leads this outbox
	StateLeading    State = "leading"    // reads and publishes
	StateStopping   State = "stopping"   // settles what was acknowledged, then ends
	// StateUnconfigured is that of a relay without a broker: it publishes nothing, and takes no
	// lease.
	StateUnconfigured State = "unconfigured"
)

// BrokerState says how the broker answered last.
type BrokerState string

// The states of a broker as the relay sees it.
const (
	BrokerUnknown       BrokerState = "unknown"       // nothing was published yet
	BrokerOK            BrokerState = "ok"            // the last Publish stored events
	BrokerUnavailable   BrokerState = "unavailable"   // see ErrUnavailable
	BrokerMisconfigured BrokerState = "misconfigured" // see ErrMisconfigured
	BrokerThrottling    BrokerState = "throttling"    // see ThrottledError
	BrokerFailing       BrokerState = "failing"       // ambiguous errors
)

// Status is a picture of a relay at one moment, as /api/v1/status and `outbox-relay status --json` show it.
type Status struct {
	Name     string       `json:"name"` // of this relay, as [Lease].Owner has it
	State    State        `json:"state"`
	Since    time.Time    `json:"since"`               // when State was entered
	Ready    bool         `json:"ready"`               // leading and publishing, or a healthy standby
	NotReady string       `json:"not_ready,omitempty"` // why Ready is false, in one sentence
	Broker   BrokerStatus `json:"broker"`              // the one in use, if there are two
	// Lease says who leads, as this relay saw it last; nil before that.
	Lease *Lease `json:"lease,omitempty"`
	// Failover says which of two brokers is used; nil where there is one.
	Failover    *FailoverStatus `json:"failover,omitempty"`
	Backlog     Backlog         `json:"backlog"`
	Published   uint64          `json:"published"`    // events the broker acknowledged, since this process started
	Duplicates  uint64          `json:"duplicates"`   // of those, how many the broker already had
	Retried     uint64          `json:"retried"`      // events that were sent again
	DeadLetters uint64          `json:"dead_letters"` // events moved to outbox.dead_letters, since this process started
	// HeldKeys and HeldEvents are keys, and events of theirs, that wait until a dead letter is retried or discarded.
	HeldKeys   int `json:"held_keys"`
	HeldEvents int `json:"held_events"`
	// Loss is the last time that the stream was found to have lost acknowledged events; nil if it never was.
	Loss *Loss `json:"loss,omitempty"`
	// Warnings are what an operator should know of the table of events and of the broker, a sentence each.
	Warnings []string `json:"warnings,omitempty"`
	// DelayedError is why, for the one that failed last.
	DelayedError string `json:"delayed_error,omitempty"`
	Delayed      int    `json:"delayed"` // events that wait for a retry, of their own or of an earlier one of their key
	// Blocked are those of them that wait until an operator changes something; nil for none. They are no reason not to be ready, for other
	// events go on, and are among Warnings.
	Blocked *Blocked `json:"blocked,omitempty"`
}

// Blocked are events that the broker does not take before an operator changes something, such as those with a subject that the stream does
// not capture, and the later ones of their keys.
type Blocked struct {
	Events int `json:"events"`
	// ID, Subject and Error are those of one of them. Error says what to change. They are unset for a moment after that one was stored.
	ID      int64  `json:"id,omitempty"`
	Subject string `json:"subject,omitempty"`
	Error   string `json:"error,omitempty"`
}

// String is a sentence for an operator.
func (b *Blocked) String() string {
	wait := fmt.Sprintf("%d events wait", b.Events)
	if b.Events == 1 {
		wait = "1 event waits"
	}
	if b.ID == 0 {
		return wait + " for a change of the broker's settings"
	}
	return fmt.Sprintf("%s, for example event %d with subject %s: %s", wait, b.ID, b.Subject, b.Error)
}

// Loss is one time that a stream was found to have lost events which it had acknowledged.
type Loss struct {
	At     time.Time `json:"at"`
	Cause  string    `json:"cause"`  // in one sentence
	Healed bool      `json:"healed"` // whether Events are published again
	Events int64     `json:"events"` // lost events that are retained; those whose retention is over cannot be counted
	// Doubtful says that a limit of the stream may have removed them, so that consumers may have got them.
	Doubtful bool `json:"doubtful,omitempty"`
}

// BrokerStatus is the part of [Status] that speaks of the broker.
type BrokerStatus struct {
	Name  string      `json:"name"`
	State BrokerState `json:"state"`
	Since time.Time   `json:"since"`
	Error string      `json:"error,omitempty"` // the last error; empty while State is BrokerOK
}

// Backlog is how much waits to be published, and for how long.
type Backlog struct {
	// Events is the number of events that wait. Where Exact is false it is an upper bound: the rest beyond the
	// first 10,000 is taken from the distance of ids, which counts rolled-back ids too.
	Events int64 `json:"events"`
	Exact  bool  `json:"exact"`
	// Lag is the age of the oldest event that waits, in seconds by the database's clock; 0 when none waits.
	Lag float64 `json:"lag_seconds"`
	// DeadLetters is the number of rows in outbox.dead_letters, at most 10,000 are counted.
	DeadLetters int64 `json:"dead_letters"`
	// At is when this was measured, by the clock of the relay's host.
	At time.Time `json:"at"`
}

package publishertest

import (
	"testing"

	"github.com/gameoutbox/relay/relay"
)

// Harness tells the suite how to use one kind of broker, and what it can do. Cases run in parallel.
type Harness struct {
	// Open makes a place for one case. What it makes is cleaned up when t ends.
	Open func(t *testing.T) Place
	// OpenOwn makes a place whose server belongs to the case alone, which stops and starts it. Nil means that there is no
	// server that could fail.
	OpenOwn func(t *testing.T) Place
	// MaxPayload is the size of a payload that the broker stores, with a few short headers; at most 1 MiB.
	MaxPayload int
	// TooLarge is the size of a payload that the broker refuses for good. 0 means that it takes any.
	TooLarge int
	// ReadsBack says that the publisher is a [relay.Ledger].
	ReadsBack bool
	// TakesAnySubject says that the broker has no notion of a bad subject.
	TakesAnySubject bool
}

// Place is an empty corner of a broker, which belongs to one case.
type Place struct {
	// Subject is what the subjects of all events begin with, such as "game.case1"; the suite adds tokens to it.
	Subject string
	// New returns a publisher that stores events in this place. It is called more than once, also while the server is
	// stopped. The suite closes it.
	New func(t *testing.T) relay.Publisher
	// Read returns what is stored, in the order in which the broker keeps it, read without the publisher. Nil means that the
	// broker keeps nothing; the suite then looks at the outcomes only.
	Read func(t *testing.T) []Stored
	// Stop ends the server, or makes it unreachable, and Start brings it back with all that was stored. They are set by
	// OpenOwn. Neither is called by two goroutines at once.
	Stop, Start func(t *testing.T)
}

// Stored is an event as a consumer sees it.
type Stored struct {
	EventID   string // 36 characters
	Subject   string
	Key       string // empty where the event has none
	CreatedAt string // RFC 3339 in UTC, with six digits of a second
	Seq       string // the event's ID, in decimal
	Headers   map[string]string
	Payload   []byte
}

package relay

import (
	"fmt"
	"strings"
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// Event is one row of outbox.events as a [Publisher] gets it. A publisher reads it and never changes it.
type Event struct {
	// ID is the row's id: the order in which events are published. It says nothing about identity,
	// for a database that was failed over may hand out an id twice; see EventID.
	ID int64
	// EventID is the dedup id: the same event has the same EventID at every attempt.
	EventID outbox.ID
	// Subject is where the event goes, at most 255 bytes, without wildcards.
	Subject string
	// Key orders: events with the same key are stored in the order of their IDs. Empty means that the event has no
	// key and that no order is promised for it.
	Key string
	// Headers are the event's own headers. Nil when there are none. Those whose names start with
	// "Nats-" or "Outbox-" are left out, and [CheckHeaders] says which are refused: the table takes
	// neither today, but rows may be older than its rules.
	Headers map[string]string
	// Payload is delivered byte for byte. It may be empty.
	Payload []byte
	// CreatedAt is when the event was inserted, by the database's clock, in UTC.
	CreatedAt time.Time
	// Rehomed says that a fallback got the event before, while this broker was out, see [Switcher]. Consumers see it as a mark.
	Rehomed bool
}

// CheckHeaders returns a [*PermanentError] for headers that no broker may get, or nil. Each
// publisher asks it before it sends an event. A NATS client takes a message without data that has a
// header Status or Description for a word of the server: it drops the event, or ends its consumer.
// One that reads headers alone gets no data of any event.
func CheckHeaders(headers map[string]string) error {
	for name := range headers {
		if strings.EqualFold(name, "Status") || strings.EqualFold(name, "Description") {
			return &PermanentError{Reason: ReasonBadHeader, Err: fmt.Errorf("the header %s is reserved: NATS clients take "+
				"an event that has it for a word of their server and drop it; discard the event and publish it with another header name, "+
				"such as X-%s", name, name)}
		}
	}
	return nil
}

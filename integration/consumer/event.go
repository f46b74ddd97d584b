package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Event is an event as both brokers bring it.
type Event struct {
	ID        string // the same at every delivery, and from both brokers
	Subject   string
	Key       string            // empty if no order was asked for
	Seq       int64             // later events of a key have a higher one; numbers are left out
	CreatedAt time.Time         // when the service wrote it, by the clock of its database
	Headers   map[string]string // the event's own
	Payload   []byte
	// Rehomed says that Redis had the event before JetStream got it. Without it, Redis may have had it too: only ID tells.
	Rehomed bool
}

// fromJetStream reads an event from a message.
func fromJetStream(msg jetstream.Msg) (Event, error) {
	e := Event{Subject: msg.Subject(), Payload: msg.Data(), Headers: map[string]string{}}
	for name := range msg.Headers() {
		if !strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, "Outbox-") {
			e.Headers[name] = msg.Headers().Get(name)
		}
	}
	e.ID, e.Key = msg.Headers().Get("Nats-Msg-Id"), msg.Headers().Get("Outbox-Key")
	e.Rehomed = msg.Headers().Get("Outbox-Rehomed") == "true"
	return e, e.number(msg.Headers().Get("Outbox-Seq"), msg.Headers().Get("Outbox-Created-At"))
}

// fromRedis reads an event from the fields of an entry.
func fromRedis(fields map[string]any) (Event, error) {
	text := func(name string) string { value, _ := fields[name].(string); return value }
	e := Event{ID: text("event_id"), Subject: text("subject"), Key: text("key"), Payload: []byte(text("payload"))}
	if err := json.Unmarshal([]byte(text("headers")), &e.Headers); err != nil {
		return e, fmt.Errorf("%w: the headers: %w", errForeign, err)
	}
	return e, e.number(text("seq"), text("created_at"))
}

// number reads what both brokers have as text.
func (e *Event) number(seq, createdAt string) (err error) {
	if e.ID == "" {
		return fmt.Errorf("%w: it has no event id", errForeign)
	}
	if e.Seq, err = strconv.ParseInt(seq, 10, 64); err != nil {
		return fmt.Errorf("%w: its number is %q", errForeign, seq)
	}
	if e.CreatedAt, err = time.Parse(time.RFC3339, createdAt); err != nil {
		return fmt.Errorf("%w: its time is %q", errForeign, createdAt)
	}
	return nil
}

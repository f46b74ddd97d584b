package outbox

// Event is anything that happened. It is encoded with [encoding/json], and the JSON is the payload. The value may implement
// [Keyed], [Headered] and [Identified] too. [Raw] is an Event whose payload is not JSON, or is encoded already.
type Event interface {
	// EventName returns the subject under which the event is published, such as "game.player.level_up".
	EventName() string
}

// Keyed is an [Event] with an ordering key. Events with the same key are published in the order in which they were written; events
// without a key, or with the empty one, in any order. A good key names the thing that changed: "player:42".
type Keyed interface {
	EventKey() string
}

// Headered is an [Event] with headers of its own. They arrive as headers at the broker.
type Headered interface {
	EventHeaders() map[string]string
}

// Identified is an [Event] that brings its own id, for instance one derived from a request that may be
// repeated. The id is the event's identity: within its duplicate window the broker drops a second
// event with the same id. If that has another subject, key or payload it is another event, and
// becomes a dead letter (id_taken): the id of an order is none for the events of that order. The
// zero id means: generate one.
//
// The result must be a plain [16]byte. A value of any UUID type that is an array of 16 bytes, such as [ID] or the one of
// github.com/google/uuid, can be returned as it is.
type Identified interface {
	EventID() [16]byte
}

// Raw is an [Event] given in full. Its payload is published byte for byte.
type Raw struct {
	// Subject is where the event is published.
	Subject string
	// Key orders the event; empty means that no order is promised. See [Keyed].
	Key string
	// Headers are the event's own headers; may be nil.
	Headers map[string]string
	// Payload is at most 1 MiB; may be empty.
	Payload []byte
	// ID identifies the event; the zero value means: generate one. See [Identified].
	ID [16]byte
}

// EventName returns the subject. It makes Raw an [Event].
func (r Raw) EventName() string { return r.Subject }

package redisstream

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// createdLayout is RFC 3339 in UTC with six digits of a second, always.
const createdLayout = "2006-01-02T15:04:05.000000Z"

// fields is how many arguments of the script an event is: event_id subject key headers payload created_at seq.
const fields = 7

// The client library turns an argument into bytes when it writes it. That lets the server work on the first events while the last
// are encoded; pointers are used because they become an argument without a copy.
type (
	idArg      outbox.ID
	createdArg time.Time
	headersArg map[string]string
	payloadArg []byte
)

// MarshalBinary returns the id as consumers see it.
func (a *idArg) MarshalBinary() ([]byte, error) { return outbox.ID(*a).MarshalText() }

// MarshalBinary returns the time as consumers see it.
func (a *createdArg) MarshalBinary() ([]byte, error) {
	return appendCreated(make([]byte, 0, len(createdLayout)), time.Time(*a).UTC()), nil
}

// appendCreated is AppendFormat with createdLayout, in a third of the time. t is in UTC.
func appendCreated(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, createdLayout)
	}
	hour, minute, second := t.Clock()
	b = appendPadded(b, year, 4)
	b = appendPadded(append(b, '-'), int(month), 2)
	b = appendPadded(append(b, '-'), day, 2)
	b = appendPadded(append(b, 'T'), hour, 2)
	b = appendPadded(append(b, ':'), minute, 2)
	b = appendPadded(append(b, ':'), second, 2)
	b = appendPadded(append(b, '.'), t.Nanosecond()/1000, 6)
	return append(b, 'Z')
}

// appendPadded appends n with leading zeros.
func appendPadded(b []byte, n, width int) []byte {
	b = append(b, "000000"[:width]...)
	for i := len(b) - 1; n > 0; i, n = i-1, n/10 {
		b[i] = '0' + byte(n%10)
	}
	return b
}

// MarshalBinary returns the headers as a JSON object, without those that only the relay may set.
func (a *headersArg) MarshalBinary() ([]byte, error) {
	b := append(make([]byte, 0, 128), '{')
	for name, value := range *a {
		if reserved(name) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendText(append(appendText(b, name), ':'), value)
	}
	return append(b, '}'), nil
}

// MarshalBinary returns the payload itself.
func (a *payloadArg) MarshalBinary() ([]byte, error) { return *a, nil }

// appendText appends a JSON string. Most headers need no escapes, and are written at once.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			escaped, err := json.Marshal(text)
			if err != nil {
				panic(err) // a string can always be marshalled
			}
			return append(b, escaped...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

// appendEvent appends the arguments of an event. They refer to the event.
func appendEvent(args []any, event *relay.Event) []any {
	return append(args, (*idArg)(&event.EventID), &event.Subject, &event.Key, headersOf(event), (*payloadArg)(&event.Payload),
		(*createdArg)(&event.CreatedAt), &event.ID)
}

func headersOf(event *relay.Event) any {
	if len(event.Headers) == 0 {
		return "{}"
	}
	return (*headersArg)(&event.Headers)
}

// reserved tells whether only the relay may set a header.
func reserved(name string) bool {
	return hasPrefixFold(name, "Nats-") || hasPrefixFold(name, "Outbox-")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// size returns about how many bytes an event is on the wire, at least those of its values.
func size(event *relay.Event) int {
	const fixed = 36 + len(createdLayout) + 20 + fields*len("$1048576\r\n\r\n")
	return fixed + len(event.Subject) + len(event.Key) + headersSize(event) + len(event.Payload)
}

// headersSize returns how many bytes the JSON of the headers is where nothing in it must be escaped.
func headersSize(event *relay.Event) int {
	n := len("{}")
	for name, value := range event.Headers {
		n += len(name) + len(value) + len(`"":"",`)
	}
	return n
}

package jetstream

import (
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

// The headers of the contract with consumers. Nats-Msg-Id is what the stream recognises an event by.
const (
	headerID      = "Nats-Msg-Id"
	headerKey     = "Outbox-Key"
	headerCreated = "Outbox-Created-At"
	headerSeq     = "Outbox-Seq"
	headerRehomed = "Outbox-Rehomed" // only events that a fallback got first have it
)

// rehomed is the value of headerRehomed.
var rehomed = []string{"true"}

// createdLayout is RFC 3339 in UTC with six digits of a second, always. secondLayout is the part of it before them.
const (
	createdLayout = secondLayout + ".000000Z"
	secondLayout  = "2006-01-02T15:04:05"
)

// reserved tells whether only the relay may set a header. A Nats- header of an event could make the server do
// anything from deleting a subject to losing the leader of a replicated stream.
func reserved(name string) bool {
	return hasPrefixFold(name, "Nats-") || hasPrefixFold(name, "Outbox-")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// encoder makes messages of events. It has one message and one set of headers, which it fills anew for each event; the
// client copies both when it publishes.
type encoder struct {
	msg     nats.Msg
	id      []string
	key     []string
	created []string
	seq     []string
	own     bool // the headers hold some of the last event's own
	text    []byte

	second     int64  // of the last event, since 1970
	secondText string // formatted; most events of a batch were inserted in the same second
}

func newEncoder() *encoder {
	e := &encoder{
		msg: nats.Msg{Header: nats.Header{}},
		id:  make([]string, 1), key: make([]string, 1), created: make([]string, 1), seq: make([]string, 1),
		text: make([]byte, 0, 128),
	}
	e.begin()
	return e
}

// begin puts the headers into the message that every event has. Their values are replaced in place.
func (e *encoder) begin() {
	clear(e.msg.Header)
	e.msg.Header[headerID], e.msg.Header[headerCreated], e.msg.Header[headerSeq] = e.id, e.created, e.seq
	e.own = false
}

// encode returns the message of an event. It is valid until the next call.
func (e *encoder) encode(event *relay.Event, reply string) *nats.Msg {
	e.msg.Subject, e.msg.Reply, e.msg.Data = event.Subject, reply, event.Payload
	if e.own {
		e.begin()
	}
	e.fill(event)
	if e.key[0] = event.Key; event.Key != "" {
		e.msg.Header[headerKey] = e.key
	} else {
		delete(e.msg.Header, headerKey)
	}
	if event.Rehomed {
		e.msg.Header[headerRehomed], e.own = rehomed, true // the next event may not have it
	}
	for name, value := range event.Headers {
		if !reserved(name) {
			e.msg.Header[name] = []string{value}
			e.own = true
		}
	}
	return &e.msg
}

// fill writes the three values that every event has into one text, which costs one allocation.
func (e *encoder) fill(event *relay.Event) {
	b, _ := event.EventID.AppendText(e.text[:0]) // never fails
	id := len(b)
	b = e.appendCreated(b, event.CreatedAt)
	created := len(b)
	b = strconv.AppendInt(b, event.ID, 10)
	text := string(b)
	e.id[0], e.created[0], e.seq[0] = text[:id], text[id:created], text[created:]
	e.text = b
}

// appendCreated is AppendFormat with createdLayout, which would be the dearest part of an event.
func (e *encoder) appendCreated(b []byte, t time.Time) []byte {
	if second := t.Unix(); second != e.second || e.secondText == "" {
		e.second, e.secondText = second, t.UTC().Format(secondLayout)
	}
	b = append(append(b, e.secondText...), ".000000Z"...)
	for i, micros := len(b)-2, t.Nanosecond()/1000; micros > 0; i, micros = i-1, micros/10 {
		b[i] = '0' + byte(micros%10)
	}
	return b
}

// wireSize returns how many bytes the headers of an event are, and the headers and the payload together, as servers count.
func wireSize(event *relay.Event) (headers, total int) {
	const (
		perLine = len(": \r\n")
		fixed   = len("NATS/1.0\r\n\r\n") +
			len(headerID) + perLine + 36 + len(headerCreated) + perLine + len(createdLayout) + len(headerSeq) + perLine
	)
	headers = fixed + digits(event.ID)
	if event.Key != "" {
		headers += len(headerKey) + perLine + len(textproto.TrimString(event.Key))
	}
	if event.Rehomed {
		headers += len(headerRehomed) + perLine + len(rehomed[0])
	}
	for name, value := range event.Headers {
		if !reserved(name) {
			headers += len(name) + perLine + len(textproto.TrimString(value))
		}
	}
	return headers, headers + len(event.Payload)
}

func digits(n int64) int {
	var buf [20]byte
	return len(strconv.AppendInt(buf[:0], n, 10))
}

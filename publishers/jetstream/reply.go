package jetstream

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

// answer is what a server says of one event or of a batch. Its kinds differ in which fields are set.
type answer struct {
	Type      string    `json:"type"`      // inside a batch, see typeAck; empty for an acknowledgement that ends it
	Seq       uint64    `json:"seq"`       // inside a batch a place in it, otherwise a place in the stream
	Stream    string    `json:"stream"`    // which stream stored the event
	Domain    string    `json:"domain"`    // in which JetStream domain that stream is
	Duplicate bool      `json:"duplicate"` // the stream had it already
	Batch     string    `json:"batch"`     // which batch ends
	Count     uint64    `json:"count"`     // how many events of it are stored, from its beginning
	Error     *apiError `json:"error"`

	unrouted bool // there was nobody to answer
}

// The types of answers inside a batch.
const (
	typeAck = "ack"
	typeGap = "gap"
	typeErr = "err"
)

// errInFlight is what newer servers say of an event that the leader of a replicated stream knows and has not stored. One of 2.10
// acknowledges it, as a duplicate at sequence 0, while an earlier attempt is under way, and if that came to nothing until it forgets the id.
var errInFlight = &apiError{Status: 409, Code: codeInFlight, Description: "duplicate message id is in process"}

func parseAnswer(msg *nats.Msg) (answer, error) {
	var a answer
	if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" {
		return answer{unrouted: true}, nil
	}
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return a, fmt.Errorf("%w that is understood: %w", errNoAck, err)
	}
	switch {
	case a.Error != nil && a.Error.Code <= 0:
		return a, fmt.Errorf("%w, but an error without the number that servers give", errNoAck)
	case a.Type == "" && a.Stream == "":
		// Each refusal names it too, in nats-server 2.10 and 2.15.
		return a, fmt.Errorf("%w, but an answer that names no stream", errNoAck)
	case a.Type == typeErr && a.Error == nil:
		return a, fmt.Errorf("%w, but an error without an error", errNoAck)
	case a.Type != "" && a.Type != typeAck && a.Type != typeGap && a.Type != typeErr:
		return a, fmt.Errorf("%w, but an answer of an unknown type", errNoAck)
	}
	return a, nil
}

// elsewhere returns an error for an event that another stream stored and the one that was asked did not answer.
func (a answer) elsewhere(t *target) error {
	return &elsewhereError{got: a.name(), want: t.name()}
}

// elsewhereError says that another stream stored an event. The configured one captures its subject and did not answer: so the event was
// sent on under another subject, or to another account or domain.
type elsewhereError struct{ subject, got, want string }

func (e *elsewhereError) Error() string {
	return fmt.Sprintf("stream %q stored the event with subject %s, which stream %q captures; remove the mapping, import or "+
		"export of the NATS account that takes the subject there, or set mq.domain, mq.api_prefix or mq.stream_name to the stream that is meant",
		e.got, e.subject, e.want)
}

// Unwrap makes it a matter of configuration.
func (e *elsewhereError) Unwrap() error { return relay.ErrMisconfigured }

// plainAnswer reads the answer that nearly every single event gets, {"stream":"game-events","seq":22}, without the cost of a
// general parser. prefix is its text up to the number, see [target.stored].
func plainAnswer(data []byte, prefix string) (seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(string(data), prefix)
	if !ok || !strings.HasSuffix(rest, "}") {
		return 0, false
	}
	seq, err := strconv.ParseUint(rest[:len(rest)-1], 10, 64)
	return seq, err == nil && seq > 0
}

// operation is what an event does in a batch, ADR-50 of NATS and FastBatchOp in the server's stream.go.
type operation int

const (
	opStart  operation = 0
	opAppend operation = 1
	opCommit operation = 2 // the last event
	// Two more, 3 to end a batch and 4 to ask for its state, are messages without an event. Each
	// would be seen by the subscribers of the subject, so none is sent: see [batch.finish] and
	// [batch.silent].
)

// batchSuffix marks a reply subject as the control channel of a batch.
const batchSuffix = ".$FI"

// batchReply writes the reply subject by which the server knows the place of an event in its batch.
func batchReply(buf []byte, prefix string, place int, op operation) []byte {
	buf = append(buf, prefix...)
	buf = strconv.AppendInt(buf, int64(place), 10)
	buf = append(buf, '.', '0'+byte(op))
	return append(buf, batchSuffix...)
}

// parseBatchReply reads the reply subject that an answer came to. ok is false for one of another batch.
func parseBatchReply(subject, prefix string) (place int, ok bool) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return 0, false
	}
	number, code, ok := strings.Cut(strings.TrimSuffix(rest, batchSuffix), ".")
	if !ok || len(code) != 1 {
		return 0, false
	}
	place, err := strconv.Atoi(number)
	return place, err == nil
}

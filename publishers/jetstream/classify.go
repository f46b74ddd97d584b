package jetstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

// apiError is the refusal of a server, as it stands in the answer to a published event. The numbers are those of errors.json
// in the sources of nats-server.
type apiError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the server answered %q (error %d)", e.Description, e.Code)
}

// verdict is what an error means for the relay.
type verdict struct {
	err     error
	whole   bool // it speaks of the whole broker, not of one event
	stale   bool // what is known of the stream is no longer true
	subject bool // it holds for all events of the subject
}

// Codes of a server's answers that mean something to the protocol, beyond their class.
const (
	codeStoreFailed     = 10077
	codeInFlight        = 10158
	codeAtomicDisabled  = 10174
	codeBatchDisabled   = 10205
	codeBatchPattern    = 10206
	codeBatchID         = 10207
	codeBatchUnknown    = 10208
	codeStreamNotFound  = 10059
	codeSubjectsOverlap = 10065
)

// class makes a verdict of a server's refusal.
type class func(*apiError) verdict

// classes says what each code means that a server answers to a published event. A code that is missing here is unknown: the
// event is tried again and spends an attempt.
var classes = map[int]class{
	10054: permanent(relay.ReasonTooLarge), // message size exceeds maximum allowed
	10097: permanent(relay.ReasonTooLarge), // header size exceeds maximum allowed of 64k

	// Headers that change how a server treats an event. The publisher sends none of them, so an answer such as these tells
	// of a proxy or a mapping that adds one.
	10060: permanent(relay.ReasonRefused),   // expected stream does not match
	10111: permanent(relay.ReasonBadHeader), // rollup failed
	10165: permanent(relay.ReasonBadHeader), // invalid per-message TTL
	10166: permanent(relay.ReasonBadHeader), // per-message TTL is disabled
	10168: permanent(relay.ReasonBadHeader), // message counters is disabled
	10170: permanent(relay.ReasonBadHeader), // message counter has payload
	10171: permanent(relay.ReasonBadHeader), // message counter increment is invalid
	10188: permanent(relay.ReasonBadHeader), // message schedules is disabled
	10189: permanent(relay.ReasonBadHeader), // message schedules pattern is invalid
	10190: permanent(relay.ReasonBadHeader), // message schedules target is invalid
	10191: permanent(relay.ReasonBadHeader), // message schedules invalid per-message TTL
	10192: permanent(relay.ReasonBadHeader), // message schedules invalid rollup
	10193: permanent(relay.ReasonBadHeader), // missing sequence for expected last sequence per subject
	10227: permanent(relay.ReasonBadHeader), // message stream source header is not allowed

	codeStoreFailed: storeFailed,
	codeInFlight:    throttledEvent, // duplicate message id is in process
	10163:           throttledEvent, // expected last sequence per subject temporarily unavailable
	10002:           throttled,      // resource limits exceeded for account
	10023:           throttled,      // insufficient resources
	10028:           throttled,      // insufficient memory resources available
	10047:           throttled,      // insufficient storage resources available
	10167:           throttled,      // too many requests
	10210:           throttled,      // atomic publish too many inflight
	10211:           throttled,      // batch publish too many inflight

	10008: unavailable, // JetStream system temporarily unavailable
	10009: unavailable, // JetStream cluster can not handle request: not the leader
	10076: unavailable, // JetStream not enabled on this server: it starts, stops or lost its disk
	10118: unavailable, // stream is offline
	10194: unavailable, // stream is offline, with a reason

	10039:              misconfigured("enable JetStream for the account, or sign in to another one"),
	10109:              misconfigured("the stream is sealed: set mq.stream_name to another stream"),
	10169:              misconfigured("the stream counts instead of storing events (allow_msg_counter): set mq.stream_name to another stream"),
	codeStreamNotFound: misconfigured("create the stream, or set mq.create_stream to true"),
	codeAtomicDisabled: misconfigured("the stream takes no batches: run nats stream edit STREAM --allow-fast --force"),
	codeBatchDisabled:  misconfigured("the stream takes no batches: run nats stream edit STREAM --allow-fast --force"),
	codeBatchPattern:   misconfigured("the server does not understand this version of fast ingest: update outbox-relay"),
	codeBatchID:        misconfigured("the server does not understand this version of fast ingest: update outbox-relay"),
	codeBatchUnknown:   ambiguous, // the server forgot the batch, at a restart or a change of leader
}

func permanent(reason relay.Reason) class {
	return func(e *apiError) verdict {
		return verdict{err: &relay.PermanentError{Reason: reason, Err: e}}
	}
}

func throttledEvent(e *apiError) verdict {
	return verdict{err: &relay.ThrottledError{Err: e}}
}

func throttled(e *apiError) verdict {
	return verdict{err: &relay.ThrottledError{Err: e}, whole: true}
}

func unavailable(e *apiError) verdict {
	return verdict{err: fmt.Errorf("%w: %w", relay.ErrUnavailable, e), whole: true}
}

func misconfigured(step string) class {
	return func(e *apiError) verdict {
		return verdict{err: fmt.Errorf("%w: %w; %s", relay.ErrMisconfigured, e, step), whole: true, stale: true}
	}
}

func ambiguous(e *apiError) verdict {
	return verdict{err: e, whole: true}
}

// storeFailed tells apart what servers answer with one code. The descriptions are the errors of the server's store.go.
func storeFailed(e *apiError) verdict {
	switch e.Description {
	case "message too large":
		return permanent(relay.ReasonTooLarge)(e)
	case "maximum messages per subject exceeded":
		return verdict{err: &relay.ThrottledError{Err: e}, subject: true}
	case "maximum messages exceeded", "maximum bytes exceeded":
		return throttled(e)
	case "store is closed":
		return unavailable(e)
	}
	if isDiskFault(e.Description) {
		return verdict{err: &diskError{e}, whole: true}
	}
	return ambiguous(e)
}

// diskError says that a server could not write.
type diskError struct{ *apiError }

func (e *diskError) Error() string {
	return fmt.Sprintf("%v: %v; check the disk and the log of the NATS server", relay.ErrUnavailable, e.apiError)
}

// Unwrap makes it an outage of the whole broker.
func (e *diskError) Unwrap() []error { return []error{relay.ErrUnavailable, e.apiError} }

// isDiskFault tells whether a server could not write. Newer servers answer nothing then, see [call.explainSilence].
func isDiskFault(description string) bool {
	return slices.ContainsFunc([]string{"no space left on device", "disk quota exceeded", "input/output error", "read-only file system",
		"too many open files"}, func(fault string) bool { return strings.Contains(description, fault) })
}

// judge says what an error means that came of sending an event: a server's refusal, or an error of the client.
func judge(err error) verdict {
	if refusal, ok := errors.AsType[*apiError](err); ok {
		if class, ok := classes[refusal.Code]; ok {
			return class(refusal)
		}
		return verdict{err: refusal}
	}
	return judgeClient(err)
}

func judgeClient(err error) verdict {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return verdict{err: &relay.PermanentError{Reason: relay.ReasonTooLarge, Err: err}}
	case errors.Is(err, nats.ErrBadSubject):
		return verdict{err: &relay.PermanentError{Reason: relay.ReasonBadSubject, Err: err}}
	case errors.Is(err, nats.ErrBadHeaderMsg):
		return verdict{err: &relay.PermanentError{Reason: relay.ReasonBadHeader, Err: err}}
	case errors.As(err, new(*deniedError)), errors.As(err, new(*elsewhereError)):
		return verdict{err: err}
	case errors.As(err, new(*unroutedError)):
		return verdict{err: err, whole: true} // until it is known why
	case errors.Is(err, relay.ErrUnavailable), errors.Is(err, relay.ErrMisconfigured):
		return verdict{err: err, whole: true}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errNoAck):
		return verdict{err: err, whole: true}
	case isSignIn(err), isEncryption(err), errors.Is(err, nats.ErrHeadersNotSupported):
		return verdict{err: fmt.Errorf("%w: %w", relay.ErrMisconfigured, err), whole: true}
	}
	// What remains comes of writing to the connection.
	return verdict{err: fmt.Errorf("%w: %w", relay.ErrUnavailable, err), whole: true}
}

// isSignIn tells whether a server refused the credentials.
func isSignIn(err error) bool {
	return isAny(err, nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrNkeysNotSupported)
}

// isEncryption tells whether client and server could not agree on encryption, or on each other's certificates. A handshake that
// was cut off is not that: the server may have died.
func isEncryption(err error) bool {
	return isAny(err, nats.ErrSecureConnRequired, nats.ErrSecureConnWanted) ||
		errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(tls.RecordHeaderError)) ||
		// A server's alert has no exported type, and one that does not like the client's certificate may close without.
		strings.Contains(err.Error(), "remote error: tls:") || strings.Contains(err.Error(), "closed by remote after TLS handshake")
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

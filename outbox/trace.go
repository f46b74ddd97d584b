package outbox

import (
	"context"
	"maps"
	"strings"
)

// Names of the headers of https://www.w3.org/TR/trace-context/.
const (
	headerTraceparent = "traceparent"
	headerTracestate  = "tracestate"
)

type traceContext struct{ parent, state string }

type traceContextKey struct{}

// ContextWithTrace returns a context that carries a W3C trace context, such as the headers "traceparent" and "tracestate" of the
// HTTP request being served. tracestate may be empty. [Publish] adds it to the headers of each event. An invalid
// traceparent is left out later on, together with its tracestate; it is never an error.
func ContextWithTrace(ctx context.Context, traceparent, tracestate string) context.Context {
	return context.WithValue(ctx, traceContextKey{}, traceContext{parent: traceparent, state: tracestate})
}

// traceFrom asks the Writer's function, or else the context. It returns the zero value if there is no valid trace context.
func (w Writer) traceFrom(ctx context.Context) traceContext {
	trace, _ := ctx.Value(traceContextKey{}).(traceContext)
	if w.TraceContext != nil {
		trace.parent, trace.state = w.TraceContext(ctx)
	}
	if !validTraceparent(trace.parent) {
		return traceContext{}
	}
	if !validHeaderValue(trace.state) {
		trace.state = ""
	}
	return trace
}

// addTo returns headers with the trace context added. Headers of the event win: if it has one of the two, in any
// case of letters, neither is added, for they belong together. A trace context that would break the limit is left out.
func (t traceContext) addTo(headers map[string]string) map[string]string {
	if t.parent == "" || hasTrace(headers) {
		return headers
	}
	with := maps.Clone(headers) // the map belongs to the caller
	if with == nil {
		with = make(map[string]string, 2)
	}
	with[headerTraceparent] = t.parent
	if t.state != "" {
		with[headerTracestate] = t.state
	}
	if headersSize(with) > maxHeaders {
		return headers
	}
	return with
}

func hasTrace(headers map[string]string) bool {
	for name := range headers {
		if strings.EqualFold(name, headerTraceparent) || strings.EqualFold(name, headerTracestate) {
			return true
		}
	}
	return false
}

// validTraceparent checks the form version-traceid-parentid-flags of section 3.2 of the specification. A version after 00 may
// carry more fields.
func validTraceparent(s string) bool {
	const length = 55
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, traceID, parentID, flags, rest := s[:2], s[3:35], s[36:52], s[53:length], s[length:]
	switch {
	case !isLowerHex(version + traceID + parentID + flags), version == "ff":
		return false
	case strings.Trim(traceID, "0") == "", strings.Trim(parentID, "0") == "":
		return false
	case rest == "":
		return true
	}
	return version != "00" && rest[0] == '-' && validHeaderValue(rest)
}

func isLowerHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

package outbox

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ValidationError says which event breaks which rule. [Publish] returns it before it talks to the database, so the transaction is
// still usable. Find it with [errors.As].
type ValidationError struct {
	// Index is the place of the event among the arguments, from 0.
	Index int
	// Field is "subject", "key", "headers" or "payload".
	Field string
	// Rule is the rule that the event breaks.
	Rule Rule
	// Value is what breaks it, quoted and shortened; for a payload its size.
	Value string
	// Allowed says in a sentence what would be accepted.
	Allowed string
}

func (e *ValidationError) Error() string {
	return fmt.Sprintf("outbox: event %d: %s %s is refused, allowed: %s", e.Index, e.Field, e.Value, e.Allowed)
}

// allowed holds, for each rule, the sentence that a person reads.
var allowed = map[Rule]string{
	RuleSubjectSize:       "1 to 255 bytes",
	RuleSubjectTokens:     "tokens separated by single dots, none of them empty",
	RuleSubjectCharacters: "UTF-8 text without spaces, control characters, * and >",
	RuleKeySize:           "up to 255 bytes",
	RuleKeyCharacters:     "UTF-8 text without control characters",
	RuleKeyOuterSpaces:    "a key without a space at either end",
	RuleHeadersSize:       "up to 32 KiB for all headers together, as JSON",
	RuleHeaderName: "names of letters, digits and !#$%&'*+-.^_`|~ that do not start with Nats- or Outbox-" +
		" and are not Status or Description",
	RuleHeaderValue: "UTF-8 values without control characters other than tab, and without a space or tab at either end",
	RulePayloadSize: "up to 1 MiB (1048576 bytes)",
}

// Validate returns the error that [Publish] would return for events without asking the database: a [*ValidationError] for the first
// event that breaks a rule, or an error of encoding. It returns nil if the database would take them.
func Validate(events ...Event) error {
	_, err := encodeAll(traceContext{}, events)
	return err
}

// validate returns nil or a [*ValidationError].
func (r Raw) validate(index int) error {
	if v := checkSubject(r.Subject); v.rule != "" {
		return invalid(index, "subject", v.rule, shorten(v.value))
	}
	if v := checkKey(r.Key); v.rule != "" {
		return invalid(index, "key", v.rule, shorten(v.value))
	}
	if v := checkHeaders(r.Headers); v.rule != "" {
		return invalid(index, "headers", v.rule, shorten(v.value))
	}
	if len(r.Payload) > maxPayload {
		return invalid(index, "payload", RulePayloadSize, fmt.Sprintf("of %d bytes", len(r.Payload)))
	}
	return nil
}

func invalid(index int, field string, rule Rule, value string) error {
	return &ValidationError{Index: index, Field: field, Rule: rule, Value: value, Allowed: allowed[rule]}
}

// shorten quotes s, cut to about 64 bytes, so that an error stays readable and a log line harmless.
func shorten(s string) string {
	const limit = 64
	if len(s) <= limit {
		return strconv.Quote(s)
	}
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(s[:end]), len(s))
}

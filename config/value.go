package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// value is a field of a [Config] that can be read from text and from YAML, and shown as both.
type value interface {
	// parse sets the field from the text of a variable, a flag or a secret file. It reports whether the text has the type.
	parse(text string) bool
	// decode sets the field from a node of a file. It reports whether the node has the type.
	decode(node *yaml.Node) bool
	// text returns the field in the form that parse reads.
	text() string
	// node returns the field in the form that decode reads.
	node() *yaml.Node
	// form says what parse and decode take.
	form() form
}

// form is what a value looks like, in one word for the help of a flag, and in a sentence for an error.
type form struct{ word, sentence string }

// scalar is a value of a single YAML scalar.
type scalar[T any] struct {
	at    *T
	read  func(string) (T, bool)
	write func(T) string
	tags  []string // the YAML types it takes
	is    form
	hint  func(string) string // what to write instead of a text that cannot be read; nil, or empty, if that is not certain
}

// hinter is a value that may know what was meant by a text that it cannot read.
type hinter interface{ hintFor(text string) string }

func (s scalar[T]) hintFor(text string) string {
	if s.hint == nil {
		return ""
	}
	return s.hint(text)
}

func (s scalar[T]) parse(text string) bool {
	v, ok := s.read(text)
	if ok {
		*s.at = v
	}
	return ok
}

func (s scalar[T]) decode(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && slices.Contains(s.tags, node.ShortTag()) && s.parse(node.Value)
}

func (s scalar[T]) text() string { return s.write(*s.at) }
func (s scalar[T]) form() form   { return s.is }

func (s scalar[T]) node() *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: s.text()}
	if s.is == textForm {
		node.SetString(s.text()) // quotes what would read as something else
	}
	return node
}

var textForm = form{"text", "a text; in YAML, a number or a date needs quotes to be one"}

func textValue(at *string) value {
	same := func(s string) (string, bool) { return s, true }
	return scalar[string]{at: at, read: same, write: func(s string) string { return s }, tags: []string{"!!str"}, is: textForm}
}

func boolValue(at *bool) value {
	read := func(s string) (bool, bool) { return s == "true", s == "true" || s == "false" }
	return scalar[bool]{at: at, read: read, write: strconv.FormatBool, tags: []string{"!!bool"}, is: form{"bool", "true or false"}}
}

// integer is what a whole number may be stored in.
type integer interface{ ~int | ~int32 | ~int64 }

func intValue[T integer](at *T) value {
	return scalar[T]{at: at, read: readInt[T], write: writeInt[T], tags: []string{"!!int"}, is: form{"number", "a whole number"}}
}

func readInt[T integer](text string) (T, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return T(n), err == nil && int64(T(n)) == n
}

func writeInt[T integer](n T) string { return strconv.FormatInt(int64(n), 10) }

func durationValue(at *time.Duration) value {
	read := func(s string) (time.Duration, bool) { d, err := time.ParseDuration(s); return d, err == nil }
	is := form{"duration", "a time with its unit, such as 250ms, 5s or 1m30s"}
	return scalar[time.Duration]{
		at: at, read: read, write: writeDuration, tags: []string{"!!str", "!!int"}, is: is, hint: DurationHint,
	}
}

// longUnits matches a time in units that [time.ParseDuration] does not know, with a rest that it
// may know.
var longUnits = regexp.MustCompile(`(?i)^(\d{1,6})\s*(weeks?|w|days?|d|hours?|h|minutes?|mins?|m|seconds?|secs?|s)\s*(.*)$`)

// DurationHint returns how a time is written that was written as 3d, 2 weeks or 1d12h; empty if
// that is not certain.
func DurationHint(text string) string {
	match := longUnits.FindStringSubmatch(strings.TrimSpace(text))
	if match == nil {
		return ""
	}
	units := map[byte]time.Duration{'w': 7 * 24 * time.Hour, 'd': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}
	n, _ := strconv.Atoi(match[1]) // at most six digits
	d := time.Duration(n) * units[strings.ToLower(match[2])[0]]
	if match[3] != "" {
		rest, err := time.ParseDuration(match[3])
		if err != nil {
			return ""
		}
		d += rest
	}
	return writeDuration(d)
}

// writeDuration is d.String without the zeros at its end: 1m rather than 1m0s.
func writeDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

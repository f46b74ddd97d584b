package jetstream

import (
	"strconv"
	"strings"
)

// validSubject tells whether an event can be published under the subject: tokens separated by dots, none of them empty, no
// wildcard, no whitespace, no control character. The client library checks almost none of this, and a server stores what
// consumers can then hardly select.
func validSubject(subject string) bool {
	start := true // of a token
	for i := range len(subject) {
		switch c := subject[i]; {
		case c <= ' ' || c == 0x7f || c == '*' || c == '>':
			return false
		case c == '.' && start:
			return false
		default:
			start = c == '.'
		}
	}
	return !start
}

// validPattern tells whether a stream could be bound to the subject, which may have wildcards.
func validPattern(pattern string) bool {
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		if token == "*" || token == ">" && i == len(tokens)-1 {
			continue
		}
		if !validSubject(token) {
			return false
		}
	}
	return true
}

// patterns are the subjects that a stream captures.
type patterns []string

// cover tells whether one of the patterns captures the subject. The subject may be a pattern too: then it tells whether
// one captures everything that the subject stands for.
func (p patterns) cover(subject string) bool {
	for _, pattern := range p {
		if covers(pattern, subject) {
			return true
		}
	}
	return false
}

// String lists the patterns for a person.
func (p patterns) String() string { return strings.Join(p, ", ") }

func covers(pattern, subject string) bool {
	if prefix, ok := strings.CutSuffix(pattern, ".>"); ok && !strings.Contains(prefix, "*") {
		return len(subject) > len(prefix)+1 && strings.HasPrefix(subject, prefix) && subject[len(prefix)] == '.'
	}
	for more := true; more; {
		var want, have string
		var wantMore, haveMore bool
		want, pattern, wantMore = strings.Cut(pattern, ".")
		have, subject, haveMore = strings.Cut(subject, ".")
		if want == ">" {
			return true
		}
		if have == ">" || want != "*" && want != have || wantMore != haveMore {
			return false
		}
		more = wantMore
	}
	return true
}

func quote(s string) string { return strconv.Quote(s) }

package outbox

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Rule is the name of a rule that an event must keep. It is also the name of the constraint in the database that enforces the
// rule for other writers, as pgconn.PgError.ConstraintName shows it.
type Rule string

// The rules. They never depend on a locale.
const (
	// RuleSubjectSize wants 1 to 255 bytes.
	RuleSubjectSize Rule = "subject_1_to_255_bytes"
	// RuleSubjectTokens wants tokens separated by single dots, none of them empty.
	RuleSubjectTokens Rule = "subject_without_empty_tokens"
	// RuleSubjectCharacters refuses the wildcards * and >, control characters, and all that Unicode calls white space;
	// also U+200B and U+FEFF, spaces by name that nobody can see in a subscription.
	RuleSubjectCharacters Rule = "subject_without_spaces_or_wildcards"
	// RuleKeySize wants at most 255 bytes. In Go the empty key means no key; in SQL that is null, and an empty key is refused.
	RuleKeySize Rule = "key_1_to_255_bytes"
	// RuleKeyCharacters refuses control characters, for the key travels as a header.
	RuleKeyCharacters Rule = "key_without_control_characters"
	// RuleKeyOuterSpaces refuses a space at either end, which would be lost on the way.
	RuleKeyOuterSpaces Rule = "key_without_outer_spaces"
	// RuleHeadersSize wants at most 32 KiB for all headers together, counted as Postgres writes them as JSON.
	RuleHeadersSize Rule = "headers_max_32_kib"
	// RuleHeaderName wants a token of RFC 9110 that does not start with Nats- or Outbox-, and is
	// not Status or Description, in any case of letters. NATS clients take an event with one of the
	// last two for a word of the server, and drop it.
	RuleHeaderName Rule = "headers_names_valid_and_not_reserved"
	// RuleHeaderValue refuses control characters other than tab, which could forge a header, and a space or
	// tab at either end, which would be lost on the way.
	RuleHeaderValue Rule = "headers_values_strings_no_controls_no_outer_spaces"
	// RulePayloadSize wants at most 1 MiB.
	RulePayloadSize Rule = "payload_max_1_mib"
)

// The limits, in bytes.
const (
	maxSubject = 255
	maxKey     = 255
	maxHeaders = 32 << 10
	maxPayload = 1 << 20
)

// violation is the first rule that a part of an event breaks, with the value that breaks it; the zero value means none.
type violation struct {
	rule  Rule
	value string
}

func checkSubject(subject string) violation {
	switch {
	case subject == "" || len(subject) > maxSubject:
		return violation{RuleSubjectSize, subject}
	case subject[0] == '.' || subject[len(subject)-1] == '.' || strings.Contains(subject, ".."):
		return violation{RuleSubjectTokens, subject}
	case !utf8.ValidString(subject) || strings.ContainsFunc(subject, refusedInSubject):
		return violation{RuleSubjectCharacters, subject}
	}
	return violation{}
}

func checkKey(key string) violation {
	switch {
	case len(key) > maxKey:
		return violation{RuleKeySize, key}
	case !utf8.ValidString(key) || strings.ContainsFunc(key, isControl):
		return violation{RuleKeyCharacters, key}
	case strings.HasPrefix(key, " ") || strings.HasSuffix(key, " "):
		return violation{RuleKeyOuterSpaces, key}
	}
	return violation{}
}

// checkHeaders looks at names in their order, so that the same headers always give the same answer.
func checkHeaders(headers map[string]string) violation {
	if len(headers) == 0 {
		return violation{}
	}
	if headersSize(headers) > maxHeaders {
		return violation{RuleHeadersSize, strings.Join(slices.Sorted(maps.Keys(headers)), ", ")}
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !validHeaderName(name) {
			return violation{RuleHeaderName, name}
		}
		if !validHeaderValue(headers[name]) {
			return violation{RuleHeaderValue, name + ": " + headers[name]}
		}
	}
	return violation{}
}

func validHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, notInToken) &&
		!hasPrefixFold(name, "nats-") && !hasPrefixFold(name, "outbox-") &&
		!strings.EqualFold(name, "status") && !strings.EqualFold(name, "description")
}

func validHeaderValue(value string) bool {
	return strings.Trim(value, " \t") == value && utf8.ValidString(value) &&
		!strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && isControl(r) })
}

// refusedInSubject lists code points and does not ask package unicode, for a new version of Unicode must not
// change what the table, which has the same list, accepts.
func refusedInSubject(r rune) bool {
	switch {
	case r <= ' ', r == '*', r == '>', 0x7f <= r && r <= 0xa0: // control characters, space, no-break space
		return true
	case r < 0x1680:
		return false
	case r == 0x1680, 0x2000 <= r && r <= 0x200b, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000, r == 0xfeff:
		return true
	}
	return false
}

func isControl(r rune) bool { return r < ' ' || 0x7f <= r && r <= 0x9f }

// notInToken is the complement of tchar in RFC 9110, section 5.6.2.
func notInToken(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// headersSize returns octet_length(headers::text) of the same headers in Postgres, which writes {"a": "b", "c": "d"}.
func headersSize(headers map[string]string) int {
	const perHeader = len(`"": "", `)
	size := len("{}") + len(headers)*perHeader - len(", ")
	for name, value := range headers {
		size += jsonSize(name) + jsonSize(value)
	}
	return size
}

// jsonSize counts the bytes between the quotes of s as Postgres writes it.
func jsonSize(s string) int {
	size := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\', c == '\b', c == '\f', c == '\n', c == '\r', c == '\t':
			size++ // a backslash in front
		case c < ' ':
			size += len(`\u0000`) - 1
		}
	}
	return size
}

package selection

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// matches is what a pattern means, token by token.
func matches(pattern, subject []string) bool {
	switch {
	case len(pattern) == 0 || len(subject) == 0:
		return len(pattern) == len(subject)
	case pattern[0] == ">":
		return true
	case pattern[0] != "*" && pattern[0] != subject[0]:
		return false
	}
	return matches(pattern[1:], subject[1:])
}

// FuzzSubjectPattern checks that the regular expression of a pattern means what the pattern does.
func FuzzSubjectPattern(f *testing.F) {
	for _, pair := range [][2]string{
		{"game.>", "game.a.b"}, {"game.*.x", "game.7.x"}, {">", "a"}, {"a+b.c(d)[", "a+b.c(d)["}, {`a\b.$^`, `a\b.$^`}, {"a..b", "a.b"}, {"*", "a.b"},
	} {
		f.Add(pair[0], pair[1])
	}
	good := regexp.MustCompile(`^[!-~]+(\.[!-~]+)*$`) // Postgres takes an escape before any character, Go before those of ASCII
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		s := Selection{Subject: pattern}
		if s.Validate() != nil || !good.MatchString(pattern) || !good.MatchString(subject) || strings.ContainsAny(subject, "*>") {
			return
		}
		tokens := strings.Split(subject, ".")
		if slices.Contains(tokens, "") {
			return // no subject
		}
		re, err := regexp.Compile(s.subjectRE())
		require.NoError(t, err)
		require.Equal(t, matches(strings.Split(pattern, "."), tokens), re.MatchString(subject), "%q of %q", pattern, subject)
	})
}

package outbox_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// subjectIsValid is the rule for subjects written as slowly and plainly as possible, with the tables of package unicode.
func subjectIsValid(subject string) bool {
	if len(subject) > 255 || !utf8.ValidString(subject) {
		return false
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" {
			return false
		}
		for _, r := range token {
			switch {
			case unicode.IsSpace(r), unicode.IsControl(r), unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
				return false
			case r == '*', r == '>', r == '\u200b', r == '\ufeff':
				return false
			}
		}
	}
	return true
}

func TestSubjectRuleKnowsEveryCodePoint(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r == '.' || !utf8.ValidRune(r) {
			continue
		}
		subject := "a" + string(r) + "b"
		if (outbox.Validate(outbox.Raw{Subject: subject}) == nil) != subjectIsValid(subject) {
			t.Errorf("U+%04X: the rule and its reference disagree", r)
		}
	}
}

func FuzzValidateSubject(f *testing.F) {
	for _, seed := range []string{"", ".", "game.test", "a..b", "a.", ".a", "a b", "a\u200bb", "a\xffb", "a\x00", strings.Repeat("é", 128), "*", "a.>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		err := outbox.Validate(outbox.Raw{Subject: subject})
		if (err == nil) != subjectIsValid(subject) {
			t.Errorf("%q: %v", subject, err)
		}
	})
}

func TestValidationErrorTellsEventFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	err := outbox.Validate(outbox.Raw{Subject: "game.ok"}, outbox.Raw{Subject: "game..gap"}, outbox.Raw{})
	require.EqualError(t, err,
		`outbox: event 1: subject "game..gap" is refused, allowed: tokens separated by single dots, none of them empty`)

	invalid, ok := errors.AsType[*outbox.ValidationError](err)
	require.True(t, ok)
	assert.Equal(t, &outbox.ValidationError{
		Index: 1, Field: "subject", Rule: outbox.RuleSubjectTokens, Value: `"game..gap"`,
		Allowed: "tokens separated by single dots, none of them empty",
	}, invalid)
}

func TestValidationErrorShortensTheValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event outbox.Raw
		want  string
	}{
		"long subject":        {outbox.Raw{Subject: strings.Repeat("s", 300)}, `"` + strings.Repeat("s", 64) + `"... (300 bytes)`},
		"cut between letters": {outbox.Raw{Subject: "x" + strings.Repeat("é", 128)}, `"x` + strings.Repeat("é", 31) + `"... (257 bytes)`},
		"no UTF-8":            {outbox.Raw{Subject: "a" + strings.Repeat("\x80", 70)}, `"a` + strings.Repeat(`\x80`, 59) + `"... (71 bytes)`},
		"header":              {outbox.Raw{Subject: "a", Headers: map[string]string{"x": "a\nb"}}, `"x: a\nb"`},
		"payload":             {outbox.Raw{Subject: "a", Payload: make([]byte, 1<<20+1)}, "of 1048577 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			invalid, ok := errors.AsType[*outbox.ValidationError](outbox.Validate(c.event))
			require.True(t, ok)
			assert.Equal(t, c.want, invalid.Value)
		})
	}
}

// Maps have no order, so without care the same event would be refused for another reason each time.
func TestValidationOfHeadersIsStable(t *testing.T) {
	t.Parallel()
	event := outbox.Raw{Subject: "a", Headers: map[string]string{"d": " ", "b b": "x", "c": "\n", "a": "ok"}}
	for range 50 {
		invalid, ok := errors.AsType[*outbox.ValidationError](outbox.Validate(event))
		require.True(t, ok)
		require.Equal(t, outbox.RuleHeaderName, invalid.Rule)
		require.Equal(t, `"b b"`, invalid.Value)
	}
}

package outbox_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// validationCase is one line of testdata/validation.json, which the integration tests run against the database.
type validationCase struct {
	Name string `json:"name"`
	// Rule is the rule that the event breaks; empty means that it is accepted.
	Rule outbox.Rule `json:"rule"`

	Subject          string            `json:"subject"`
	SubjectBase64    string            `json:"subject_base64"` // instead of Subject, where it is not UTF-8
	SubjectTimes     int               `json:"subject_times"`  // repeats the subject
	Key              string            `json:"key"`
	KeyTimes         int               `json:"key_times"`
	Headers          map[string]string `json:"headers"`
	HeaderValueTimes int               `json:"header_value_times"`
	PayloadBase64    string            `json:"payload_base64"`
	PayloadTimes     int               `json:"payload_times"`
}

func (c validationCase) event(t *testing.T) outbox.Raw {
	t.Helper()
	raw := outbox.Raw{
		Subject: strings.Repeat(c.Subject+fromBase64(t, c.SubjectBase64), max(1, c.SubjectTimes)),
		Key:     strings.Repeat(c.Key, max(1, c.KeyTimes)),
		Payload: []byte(strings.Repeat(fromBase64(t, c.PayloadBase64), max(1, c.PayloadTimes))),
	}
	for name, value := range c.Headers {
		if raw.Headers == nil {
			raw.Headers = make(map[string]string)
		}
		raw.Headers[name] = strings.Repeat(value, max(1, c.HeaderValueTimes))
	}
	return raw
}

func fromBase64(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return string(raw)
}

func validationCases(t *testing.T) []validationCase {
	t.Helper()
	file, err := os.ReadFile("testdata/validation.json")
	require.NoError(t, err)
	var cases []validationCase
	require.NoError(t, json.Unmarshal(file, &cases))
	require.NotEmpty(t, cases)
	return cases
}

func TestValidateKeepsTheTableOfCases(t *testing.T) {
	t.Parallel()
	for _, c := range validationCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			err := outbox.Validate(c.event(t))
			if c.Rule == "" {
				require.NoError(t, err)
				return
			}
			invalid, ok := errors.AsType[*outbox.ValidationError](err)
			require.True(t, ok, "got %v", err)
			assert.Equal(t, c.Rule, invalid.Rule)
			assert.True(t, strings.HasPrefix(string(c.Rule), strings.TrimSuffix(invalid.Field, "s")), "field %s", invalid.Field)
		})
	}
}

// Every rule must have a case that breaks it, so that a rule cannot be forgotten on one side.
func TestTableOfCasesCoversEveryRule(t *testing.T) {
	t.Parallel()
	broken := make(map[outbox.Rule]bool)
	for _, c := range validationCases(t) {
		broken[c.Rule] = true
	}
	for _, rule := range []outbox.Rule{
		"", outbox.RuleSubjectSize, outbox.RuleSubjectTokens, outbox.RuleSubjectCharacters,
		outbox.RuleKeySize, outbox.RuleKeyCharacters, outbox.RuleKeyOuterSpaces,
		outbox.RuleHeadersSize, outbox.RuleHeaderName, outbox.RuleHeaderValue, outbox.RulePayloadSize,
	} {
		assert.True(t, broken[rule], "no case for rule %q", rule)
		delete(broken, rule)
	}
	assert.Empty(t, broken, "cases for rules that do not exist")
}

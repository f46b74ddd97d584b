package integration_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

// validationCase is a line of outbox/testdata/validation.json; the unit test of package outbox runs it against the library.
type validationCase struct {
	Name             string            `json:"name"`
	Rule             outbox.Rule       `json:"rule"`
	SQLState         string            `json:"sqlstate"` // where the server refuses before it comes to the rule
	Subject          string            `json:"subject"`
	SubjectBase64    string            `json:"subject_base64"`
	SubjectTimes     int               `json:"subject_times"`
	Key              *string           `json:"key"`
	KeyTimes         int               `json:"key_times"`
	Headers          map[string]string `json:"headers"`
	HeaderValueTimes int               `json:"header_value_times"`
	PayloadBase64    string            `json:"payload_base64"`
	PayloadTimes     int               `json:"payload_times"`
}

// insert writes the case as a program without our library would.
func (c validationCase) insert(t *testing.T, pool *pgxpool.Pool) error {
	t.Helper()
	decode := func(text string) string {
		raw, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return string(raw)
	}
	subject := strings.Repeat(c.Subject+decode(c.SubjectBase64), max(1, c.SubjectTimes))
	payload := []byte(strings.Repeat(decode(c.PayloadBase64), max(1, c.PayloadTimes)))
	var key, headers any
	if c.Key != nil {
		key = strings.Repeat(*c.Key, max(1, c.KeyTimes))
	}
	if c.Headers != nil {
		repeated := make(map[string]string)
		for name, value := range c.Headers {
			repeated[name] = strings.Repeat(value, max(1, c.HeaderValueTimes))
		}
		headers = repeated
	}
	_, err := pool.Exec(t.Context(), "insert into outbox.events (subject, key, headers, payload) values ($1, $2, $3, $4)",
		subject, key, headers, payload)
	return err
}

func TestTableKeepsTheSameCasesAsTheLibrary(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../outbox/testdata/validation.json")
	require.NoError(t, err)
	var cases []validationCase
	require.NoError(t, json.Unmarshal(file, &cases))
	require.NotEmpty(t, cases)
	_, writer := asWriter(t)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			err := c.insert(t, writer)
			switch {
			case c.Rule == "":
				require.NoError(t, err)
			case c.SQLState != "":
				requireState(t, err, c.SQLState)
			default:
				assert.Equal(t, string(c.Rule), requireState(t, err, "23514").ConstraintName)
			}
		})
	}
}

// requireState checks that the server answered with the code and returns its error.
func requireState(t *testing.T, err error, code string) *pgconn.PgError {
	t.Helper()
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	require.True(t, ok, "want SQLSTATE %s, got %v", code, err)
	require.Equal(t, code, pgErr.Code, "%v", err)
	return pgErr
}

// What the library cannot even express.
func TestTableRefusesWhatOnlySQLCanSay(t *testing.T) {
	t.Parallel()
	_, writer := asWriter(t)
	for name, c := range map[string]struct{ values, code, constraint string }{
		"empty key":            {"'a', '', null, ''", "23514", string(outbox.RuleKeySize)},
		"no subject":           {"null, null, null, ''", "23502", ""},
		"no payload":           {"'a', null, null, null", "23502", ""},
		"headers: null":        {"'a', null, 'null', ''", "23514", "headers_object"},
		"headers: array":       {`'a', null, '["a"]', ''`, "23514", "headers_object"},
		"headers: objects":     {`'a', null, '[{"a": "b"}]', ''`, "23514", "headers_object"},
		"headers: text":        {`'a', null, '"a"', ''`, "23514", "headers_object"},
		"headers: number":      {"'a', null, '1', ''", "23514", "headers_object"},
		"header: number":       {`'a', null, '{"a": 1}', ''`, "23514", string(outbox.RuleHeaderValue)},
		"header: null":         {`'a', null, '{"a": null}', ''`, "23514", string(outbox.RuleHeaderValue)},
		"header: true":         {`'a', null, '{"a": true}', ''`, "23514", string(outbox.RuleHeaderValue)},
		"header: array":        {`'a', null, '{"a": ["b"]}', ''`, "23514", string(outbox.RuleHeaderValue)},
		"header: empty array":  {`'a', null, '{"a": []}', ''`, "23514", string(outbox.RuleHeaderValue)},
		"header: object":       {`'a', null, '{"a": {"b": "c"}}', ''`, "23514", string(outbox.RuleHeaderValue)},
		"header: second value": {`'a', null, '{"a": "b", "c": 1}', ''`, "23514", string(outbox.RuleHeaderValue)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := writer.Exec(t.Context(), "insert into outbox.events (subject, key, headers, payload) values ("+c.values+")")
			assert.Equal(t, c.constraint, requireState(t, err, c.code).ConstraintName)
		})
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRenderPayload(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ payload, want string }{
		"empty":                 {"", "(empty)\n"},
		"json":                  {`{"a":[1]}`, "{\n  \"a\": [\n    1\n  ]\n}\n"},
		"json with escapes":     {"\"a\u009bb\u202e\U000e0001\"", `"a\u009bb\u202e\udb40\udc01"` + "\n"},
		"text":                  {"line\n\tgröße\n", "line\n\tgröße\n"},
		"text that moves about": {"a\x1bb", "00000000  61 1b 62                                          |a.b|\n"},
		"no utf-8":              {"\xff", "00000000  ff                                                |.|\n"},
		"no utf-8 in json":      {"\"\xff\"", "00000000  22 ff 22                                          |\".\"|\n"},
	} {
		require.Equal(t, tc.want, renderPayload([]byte(tc.payload)), name)
	}
	long := renderPayload(bytes.Repeat([]byte{0}, dumpedBytes+1))
	require.Equal(t, dumpedBytes/16+1, strings.Count(long, "\n"))
	require.Contains(t, long, "and 1 byte more; --payload writes them all\n")
}

func TestEscapedJSONMeansTheSame(t *testing.T) {
	t.Parallel()
	const text = "a\u009bb\u202e\U000e0001\u200b"
	raw, err := json.Marshal(text)
	require.NoError(t, err)
	var got string
	require.NoError(t, json.Unmarshal([]byte(renderPayload(raw)), &got))
	require.Equal(t, text, got)
}

func TestRenderHeaders(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``:                        "(none)\n",
		`{}`:                      "(none)\n",
		`{"b": "2", "a": "x\ty"}`: `a: x\u0009y` + "\nb: 2\n",
		`[1]`:                     "[1]\n",
	} {
		var message json.RawMessage
		if raw != "" {
			message = json.RawMessage(raw)
		}
		require.Equal(t, want, renderHeaders(message), raw)
	}
}

func TestIndent(t *testing.T) {
	t.Parallel()
	require.Equal(t, "  a\n  b\n", indent("a\nb\n"))
}

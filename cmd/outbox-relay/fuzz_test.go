package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay/deadletter"
)

// FuzzTerminal checks that nothing which moves a cursor or hides something is written, and that
// JSON stays what it was.
func FuzzTerminal(f *testing.F) {
	for _, text := range []string{"größe", "\x1b[2J", "\x1b]0;x\x07", "\u202e\u2066", "a\rb", "\u009b1m", "\xff\xfe", "\U000e0041", "\\u001b", "a\n\tb", "\x7f"} {
		f.Add(text)
	}
	shown := func(text string) bool {
		return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' })
	}
	f.Fuzz(func(t *testing.T, text string) {
		require.True(t, shown(printable(text)))
		require.NotContains(t, printable(text), "\n")
		require.True(t, shown(shorten(text, 10)))
		require.True(t, shown(renderPayload([]byte(text))))
		var out bytes.Buffer
		report(&out, &failure{what: text, cause: errors.New(text), value: text, next: text})
		require.True(t, shown(out.String()))
		require.Equal(t, 1, strings.Count("\n"+out.String(), "\noutbox-relay: "), "no text passes for a line of ours")

		out.Reset()
		require.NoError(t, json.NewEncoder(safeWriter{&out}).Encode(text))
		require.True(t, shown(out.String()))
		var back string
		require.NoError(t, json.Unmarshal(out.Bytes(), &back))
		if utf8.ValidString(text) {
			require.Equal(t, text, back)
		}
	})
}

// FuzzArguments reads what a person may write behind a command as everything that is read from
// there.
func FuzzArguments(f *testing.F) {
	for _, text := range []string{
		"42", "-1", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "2h", "-2h", "3d", "2026-01-02T03:04:05Z", "a=b", "=", "a=b=c", "9223372036854775808", "game.*.>", "\xff",
	} {
		f.Add(text, text)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, other string) {
		var sel deadletter.Selection
		if name(&sel, text) == nil {
			require.Equal(t, 1, len(sel.IDs)+len(sel.EventIDs))
		}
		if at, err := parseMoment(text, now); err == nil {
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				require.False(t, at.After(now), "how long ago it was")
			}
		}
		if headers, err := parseHeaders([]string{text, other}); err == nil {
			require.Len(t, headers, 2)
		}
		flags := selectionFlags{since: text, until: other, subject: text, key: other, eventIDs: []string{text}}
		if what, err := flags.selection(now); err == nil {
			require.False(t, what.Empty())
			require.Len(t, what.Args(), 7)
		}
		_, _ = publishFlags{id: text}.eventID() // must not panic
	})
}

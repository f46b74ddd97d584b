package outbox

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzRow checks that the JSON of headers and payload is what was given, for every event that is
// not refused.
func FuzzRow(f *testing.F) {
	f.Add("game.test", "player:1", "content-type", "application/json", []byte(`{"a":1}`))
	f.Add("game.größe", "", "a", "<&>\u2028\ufffd", []byte(nil))
	f.Add("game.x", "k\xff", "Nats-Msg-Id", "x\r\ny", []byte("\x00\xff"))
	f.Add("game.x", "k", "Outbox-Seq", "", []byte{})
	f.Fuzz(func(t *testing.T, subject, key, name, text string, payload []byte) {
		event := Raw{Subject: subject, Key: key, Headers: map[string]string{name: text}, Payload: payload}
		rows, err := encodeAll(traceContext{}, []Event{event})
		if err != nil {
			require.True(t, utf8.ValidString(err.Error()), "%q", err)
			return
		}
		require.Len(t, rows, 1)
		require.Equal(t, []string{subject, key}, []string{rows[0].subject, rows[0].key})
		require.Equal(t, string(payload), string(rows[0].payload))
		require.NotNil(t, rows[0].payload)
		var headers map[string]string
		require.NoError(t, json.Unmarshal([]byte(rows[0].headers), &headers))
		require.Equal(t, event.Headers, headers)
		_, err = ParseID(rows[0].id)
		require.NoError(t, err)
	})
}

// document is an event with a payload of any JSON.
type document struct{ json.RawMessage }

func (document) EventName() string { return "game.document" }

// FuzzTypedEvent checks that an event that cannot be encoded is an error, and that one that can
// means the same.
func FuzzTypedEvent(f *testing.F) {
	for _, text := range []string{`{"a":[1,2,{"b":null}]}`, `"\ud800"`, `1e400`, `{`, "\xff", `[[[[]]]]`, "null", " 1 "} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := encodeAll(traceContext{}, []Event{document{text}})
		if err != nil {
			require.False(t, json.Valid(text), "%v", err)
			return
		}
		require.True(t, json.Valid(rows[0].payload))
	})
}

// FuzzParseID checks that an id that is read is written as it was read.
func FuzzParseID(f *testing.F) {
	for _, text := range []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "", "-", "{6ba7b810}", "6ba7b8109dad11d180b400c04fd430c8"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		again, err := ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
		require.Len(t, text, len(id.String()))
	})
}

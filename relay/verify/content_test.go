package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func TestContentDifferences(t *testing.T) {
	t.Parallel()
	event := relay.StoredEvent{Subject: "game.x", Key: "k", Headers: map[string]string{"a": "1", "b": "2"}, Payload: []byte("{}")}
	was := contentOf(event)
	require.Empty(t, was.differences(contentOf(event)))
	other := contentOf(relay.StoredEvent{Subject: "game.y", Key: "l", Headers: map[string]string{"a": "12", "b": ""}, Payload: []byte("[]")})
	require.Equal(t, `subject is "game.y", key is "l", headers differ, payload differs`, was.differences(other))
}

func TestHeadersOfTheTableAndOfTheStream(t *testing.T) {
	t.Parallel()
	want := digestHeaders(map[string]string{"b": "2", "a": "1"})
	require.Equal(t, want, digestJSON([]byte(`{"a": "1", "b": "2"}`)))
	require.NotEqual(t, want, digestJSON([]byte(`{"a": "12", "b": ""}`)))
	for _, none := range []string{"", "null", "{}"} {
		require.Equal(t, digestHeaders(nil), digestJSON([]byte(none)), none)
	}
	require.NotEqual(t, digestHeaders(nil), digestJSON([]byte(`{"a": 1}`)), "no object of strings")
}

package outbox_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
)

func TestIDHasTheCanonicalTextForm(t *testing.T) {
	t.Parallel()
	id := outbox.ID{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	assert.Equal(t, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", id.String())
	for _, text := range []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"} {
		parsed, err := outbox.ParseID(text)
		require.NoError(t, err)
		assert.Equal(t, id, parsed)
	}
}

func TestIDIsAStringInJSON(t *testing.T) {
	t.Parallel()
	id := outbox.NewID()
	text, err := json.Marshal(id)
	require.NoError(t, err)
	assert.Equal(t, `"`+id.String()+`"`, string(text))
	var back outbox.ID
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, id, back)
}

func TestParseIDRefusesWhatIsNoUUID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "6ba7b8109dad11d180b400c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "6ba7b810-9dad-11d1-80b4-00c04fd430c88",
		"6ba7b810-9dad-11d1-80b4000c04fd430c8", "{6ba7b810-9dad-11d1-80b4-00c04fd430}",
	} {
		id, err := outbox.ParseID(text)
		assert.ErrorContains(t, err, "is not a UUID", "%q", text)
		assert.Zero(t, id)
	}
}

func TestNewIDIsARandomUUIDOfVersion4(t *testing.T) {
	t.Parallel()
	seen := make(map[outbox.ID]bool)
	for range 1000 {
		id := outbox.NewID()
		assert.Equal(t, byte('4'), id.String()[14])
		assert.Contains(t, "89ab", string(id.String()[19]))
		seen[id] = true
	}
	assert.Len(t, seen, 1000)
}

package redisstream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysBesideTheStream(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]string{
		"game:events":   "{game:events}:outbox:ids",
		"{game}:events": "{game}:{game}:events:outbox:ids",
		"x{game}y{z}":   "{game}:x{game}y{z}:outbox:ids",
		"a{b":           "{a{b}:outbox:ids",
	} {
		require.True(t, hasTag(stream), stream)
		require.Equal(t, want, besides(stream, idsKey))
	}
	for _, stream := range []string{"a}b", "x{}y", "}"} {
		require.False(t, hasTag(stream), stream)
	}
}

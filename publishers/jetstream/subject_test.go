package jetstream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidSubject(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "game.player.7.level_up", "玩家.升级", "a-b_c", "$a", strings.Repeat("x", 1000)} {
		require.True(t, validSubject(good), good)
		require.True(t, validPattern(good), good)
	}
	for _, bad := range []string{"", ".", ".a", "a.", "a..b", "a b", "a\tb", "a\nb", "a\x00", "a\x7f", " "} {
		require.False(t, validSubject(bad), "%q", bad)
		require.False(t, validPattern(bad), "%q", bad)
	}
	for _, pattern := range []string{"*", ">", "a.*", "a.>", "*.b.>", "a.*.c"} {
		require.False(t, validSubject(pattern), pattern)
		require.True(t, validPattern(pattern), pattern)
	}
	for _, bad := range []string{"a.>.b", "a*", "a.b>", ">.a", "a. *"} {
		require.False(t, validPattern(bad), bad)
	}
}

func TestPatternsCover(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, subject string
		want             bool
	}{
		{"game.>", "game.a", true},
		{"game.>", "game.a.b.c", true},
		{"game.>", "game", false},
		{"game.>", "game.", false},
		{"game.>", "games.a", false},
		{"game.>", "game.*", true},
		{"game.>", "game.>", true},
		{">", "anything.at.all", true},
		{"a.b", "a.b", true},
		{"a.b", "a.b.c", false},
		{"a.b.c", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"a.*", "a", false},
		{"a.*", "a.*", true},
		{"a.*", "a.>", false},
		{"a.b", "a.*", false},
		{"*.b.>", "a.b.c.d", true},
		{"*.b.>", "a.b", false},
		{"*.b.>", "a.c.d", false},
		{"*.b.>", "*.b.>", true},
		{"a.*.c.>", "a.b.c.>", true},
	} {
		require.Equal(t, test.want, patterns{test.pattern}.cover(test.subject), "%s covers %s", test.pattern, test.subject)
	}
	require.True(t, patterns{"a.b", "game.>"}.cover("game.x"))
	require.False(t, patterns{}.cover("a"))
}

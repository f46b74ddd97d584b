package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextForATerminal(t *testing.T) {
	t.Parallel()
	require.Equal(t, "größe 7", printable("größe 7"))
	require.Equal(t, `a\u001b[2Jb`, printable("a\x1b[2Jb"))
	require.Equal(t, `a\u202eb`, printable("a\u202eb"), "what turns the direction of writing hides something")
	require.Equal(t, `\xff`, printable("\xff"))
	require.Equal(t, `a\u000a\u0009\u000d\u009b\u007f\udb40\udc41`, printable("a\n\t\r\u009b\x7f\U000e0041"))
	require.Equal(t, "\ufffd", printable("\ufffd"))

	require.Equal(t, "a b", shorten("a\n  b", 3))
	require.Equal(t, "größ…", shorten("größe!", 5))
	require.Equal(t, "größe", shorten("größe", 5))
}

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "y": true, "n\n": false, "\n": false, "": false, "yep\n": false} {
		var out bytes.Buffer
		require.Equal(t, want, confirm(strings.NewReader(answer), &out, "Discard?"), "%q", answer)
		require.Equal(t, "Discard? [y/N] ", out.String())
	}
}

func TestOnTerminal(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	require.False(t, onTerminal(null), "a character device, but no terminal")
	require.False(t, onTerminal(&bytes.Buffer{}))
}

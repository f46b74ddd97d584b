package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// quoted is a piece of code of the guide, under the name of the file that it is from.
var quoted = regexp.MustCompile("(?s)(?:<!-- (\\S+) -->\n)?```go\n(.*?)```")

// TestTheGuideQuotesThisCode fails when the guide shows other code than the one that is tested.
func TestTheGuideQuotesThisCode(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	guide, err := os.ReadFile(filepath.Join(root, "docs", "CONSUMERS.md"))
	require.NoError(t, err)
	quotes := quoted.FindAllStringSubmatch(string(guide), -1)
	require.NotEmpty(t, quotes)
	for _, quote := range quotes {
		path, code := quote[1], quote[2]
		require.NotEmpty(t, path, "no file is named above this code of the guide:\n%s", code)
		file, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		require.Contains(t, string(file), code, "%s does not hold this code of the guide:\n%s", path, code)
	}
}

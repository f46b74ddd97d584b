package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The lines of README.md that the table of settings stands between.
const (
	readmeFile  = "../README.md"
	readmeBegin = "<!-- configuration:begin, made by: go test ./config -update -->\n"
	readmeEnd   = "<!-- configuration:end -->"
)

// readmeTable returns the table of every setting with its default, as Markdown.
func readmeTable() string {
	c := DefaultConfig()
	var b strings.Builder
	b.WriteString("| Key | Default | What it is |\n| --- | --- | --- |\n")
	for _, k := range c.keys() {
		name, text := "`"+k.name+"`", inline(k.field)
		if k.secret() {
			name += " (secret)"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", name, text, strings.ReplaceAll(k.help, "|", `\|`))
	}
	return b.String()
}

func TestReadmeListsEverySetting(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(readmeFile)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), readmeBegin)
	require.True(t, found, "README.md has no line %q", readmeBegin)
	table, after, found := strings.Cut(rest, readmeEnd)
	require.True(t, found, "README.md has no line %q", readmeEnd)

	if *update {
		table = readmeTable()
		require.NoError(t, os.WriteFile(readmeFile, []byte(before+readmeBegin+table+readmeEnd+after), 0o644))
	}
	require.Equal(t, readmeTable(), table, "run: go test ./config -update")
}

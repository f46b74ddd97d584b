package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// update rewrites the files that are made from the table of keys, rather than comparing them.
var update = flag.Bool("update", false, "rewrite config.example.yaml and the table in README.md")

// input is what a test gives to Load.
type input struct {
	yaml     string // the content of the file; empty means that there is none
	env      []string
	args     []string
	required []string
}

// load runs Load over the input and returns its result, or its problems by line with the directory of the file cut off.
func load(t testing.TB, in input) (*Settings, []string) {
	t.Helper()
	src := Source{Environ: in.env, Required: in.required, File: filepath.Join(t.TempDir(), "config.yaml")}
	require.NoError(t, os.WriteFile(src.File, []byte(in.yaml), 0o600))
	src.Flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(src.Flags)
	require.NoError(t, src.Flags.Parse(in.args))

	settings, err := Load(src)
	if err == nil {
		return settings, nil
	}
	require.Nil(t, settings)
	problems := (*Error)(nil)
	require.ErrorAs(t, err, &problems)
	require.NotEmpty(t, problems.Problems)
	return nil, strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(src.File)+"/", ""), "\n")
}

// mustLoad runs Load over an input without a problem.
func mustLoad(t testing.TB, in input) *Settings {
	t.Helper()
	settings, problems := load(t, in)
	require.Empty(t, problems)
	return settings
}

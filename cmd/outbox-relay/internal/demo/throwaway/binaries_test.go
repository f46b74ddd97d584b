package throwaway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// install puts an initdb and a postgres that answers --version into a new directory.
func install(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	script(t, dir, "initdb", "exit 1")
	script(t, dir, "postgres", fmt.Sprintf("echo 'postgres (PostgreSQL) %s'", version))
	return dir
}

func script(t *testing.T, dir, name, body string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755))
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{
		"14.1": 14, "17.5 (Debian 17.5-1.pgdg12+1)": 17, "18beta1": 18, "13.9": 0, "9.6.24": 0, "who knows": 0,
	} {
		got, ok := inspect(t.Context(), install(t, version))
		assert.Equal(t, want != 0, ok, version)
		if ok {
			assert.Equal(t, want, got.major, version)
		}
	}
}

func TestInspectWantsBothPrograms(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"initdb", "postgres"} {
		dir := install(t, "17.5")
		require.NoError(t, os.Remove(filepath.Join(dir, missing)))
		_, ok := inspect(t.Context(), dir)
		assert.False(t, ok, "without %s", missing)
	}
	_, ok := inspect(t.Context(), "")
	assert.False(t, ok)
}

// The tests from here on change the environment, so they do not run beside others.

func TestFindInstalledTakesTheOneInPath(t *testing.T) {
	dir, links := install(t, "16.3"), t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(dir, "initdb"), filepath.Join(links, "initdb")))
	t.Setenv("PATH", links+":"+os.Getenv("PATH"))
	found, err := findInstalled(t.Context(), nil)
	require.NoError(t, err)
	real, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	assert.Equal(t, installed{dir: real, major: 16}, found, "the directory behind the link")
}

func TestFindInstalledTakesTheNewestElsewhere(t *testing.T) {
	old, newest, tools := install(t, "15.2"), install(t, "17.5"), t.TempDir()
	t.Setenv("PATH", install(t, "13.1")+":"+tools+":/usr/bin:/bin") // too old, so the search goes on
	script(t, tools, "pg_config", "echo "+newest)
	found, err := findInstalled(t.Context(), []string{old})
	require.NoError(t, err)
	assert.Equal(t, installed{dir: newest, major: 17}, found)
}

func TestStartWithoutAnyPostgres(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := findInstalled(t.Context(), nil)
	require.ErrorIs(t, err, errNotInstalled)

	o, _ := options(t)
	_, err = startContainer(t.Context(), o)
	assert.EqualError(t, err, "Docker is not installed")
}

func TestChooseImage(t *testing.T) {
	tests := map[string]struct {
		there, environment, want, pulled string
	}{
		"the project's own":        {there: "outbox-relay/postgres:17 postgres:17", want: "outbox-relay/postgres:17"},
		"the official one":         {there: "postgres:17", want: "postgres:17"},
		"none":                     {want: "postgres:17", pulled: "postgres:17"},
		"named by the environment": {there: "mine:1 postgres:17", environment: "mine:1", want: "mine:1"},
		"named, and not there":     {there: "postgres:17", environment: "mine:1", want: "mine:1", pulled: "mine:1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script(t, dir, "docker", fmt.Sprintf(`
case "$1" in
image) for i in %s; do [ "$i" = "$3" ] && exit 0; done; exit 1 ;;
pull) echo "$3" > %s/pulled ;;
esac`, test.there, dir))
			t.Setenv("PATH", dir+":/usr/bin:/bin")
			o, _ := options(t)
			o.Getenv = func(string) string { return test.environment }
			got, err := chooseImage(t.Context(), o)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			pulled, _ := os.ReadFile(filepath.Join(dir, "pulled"))
			assert.Equal(t, test.pulled, strings.TrimSpace(string(pulled)))
		})
	}
}

func TestDockerSaysWhatItSaid(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "docker", "echo 'no daemon here' >&2; exit 3")
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	o, _ := options(t)
	_, err := startContainer(t.Context(), o)
	assert.EqualError(t, err, "docker version: exit status 3: no daemon here")
}

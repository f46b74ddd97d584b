package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/config"
)

// withSources returns the arguments that name a configuration of several sources, none of whose databases answers.
func withSources(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
admin: {listen: ""}
sources:
  - {name: eu, postgres: {url: "postgres://relay:hunter2@`+closedPort(t)+`/game?sslmode=disable"}}
  - {name: us, postgres: {url: "postgres://relay:hunter2@`+closedPort(t)+`/game?sslmode=disable"}}
`), 0o600))
	return []string{"--config=" + file}
}

func TestACommandOnOneDatabaseNeedsTheNameOfTheSource(t *testing.T) {
	t.Parallel()
	file := withSources(t)
	for _, args := range [][]string{
		{"publish", "game.x", "{}"}, {"migrate", "down"}, {"replay", "--all", "--new-ids"}, {"replay", "list"},
		{"dead", "list"}, {"dead", "show", "1"}, {"dead", "retry", "1"}, {"dead", "discard", "1", "--note=x"},
	} {
		got := cli(t, append(args, file...)...)
		require.Equal(t, codeUsage, got.code, args)
		require.Equal(t, "outbox-relay: which source is meant is not said\n  next:  name one with --source: eu, us\n", got.err, args)

		got = cli(t, append(append(args, file...), "--source=asia")...)
		require.Equal(t, codeUsage, got.code, args)
		require.Equal(t, "outbox-relay: there is no source \"asia\"\n  next:  name one with --source: eu, us\n", got.err, args)

		got = cli(t, append(append(args, file...), "--source=us")...)
		require.Equal(t, codeFailure, got.code, args)
		require.Contains(t, got.err, "cannot connect to Postgres", args)
		require.Contains(t, got.err, "value: sources.us.postgres.url is postgres://relay:[hidden]@127.0.0.1", args)
	}
}

func TestACommandOnEveryDatabaseTakesThemInTurn(t *testing.T) {
	t.Parallel()
	file := withSources(t)
	for _, args := range [][]string{{"migrate", "up"}, {"migrate", "status"}} {
		got := cli(t, append(args, file...)...)
		require.Equal(t, codeFailure, got.code)
		require.Equal(t, "source eu:\nsource us:\n", got.out)
		require.Contains(t, got.err, "sources.eu.postgres.url is")
		require.Contains(t, got.err, "sources.us.postgres.url is")
		require.Contains(t, got.err, "outbox-relay: 2 of 2 sources failed: eu, us\n")

		got = cli(t, append(append(args, file...), "--source=eu")...)
		require.Equal(t, codeFailure, got.code)
		require.Empty(t, got.out)
		require.NotContains(t, got.err, "sources.us.postgres.url")
	}
	got := cli(t, append([]string{"status"}, file...)...)
	require.Equal(t, codeFailure, got.code)
	require.Regexp(t, `(?m)^us +- `, got.out)
	require.Contains(t, got.err, "2 of 2 databases do not tell their backlog: eu, us")
}

func TestTheOnlySourceNeedsNoName(t *testing.T) {
	t.Parallel()
	env := []string{"OUTBOX_POSTGRES_URL=postgres://relay@" + closedPort(t) + "/game"}
	for _, args := range [][]string{{"dead", "list"}, {"dead", "list", "--source=" + config.DefaultSource}} {
		got := call{args: args, env: env}.run(t)
		require.Equal(t, codeFailure, got.code)
		require.Contains(t, got.err, "value: postgres.url is ")
	}
}

func TestListNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a, b", listNames([]string{"a", "b"}))
	require.Equal(t, "n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n and 1 more", listNames([]string{
		"n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n", "n",
	}))
}

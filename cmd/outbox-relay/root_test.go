package main

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func TestWrongUsageEndsWithTwo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want string // the whole error
	}{
		"no subcommand":        {[]string{"migrate"}, "outbox-relay: a subcommand is missing\n  next:  see outbox-relay migrate --help\n"},
		"nothing at all":       {nil, "outbox-relay: a subcommand is missing\n  next:  see outbox-relay --help\n"},
		"misspelt command":     {[]string{"migarte"}, "outbox-relay: unknown command \"migarte\" of outbox-relay, did you mean migrate?\n  next:  see outbox-relay --help\n"},
		"unknown command":      {[]string{"kafka"}, "outbox-relay: unknown command \"kafka\" of outbox-relay\n  next:  see outbox-relay --help\n"},
		"misspelt subcommand":  {[]string{"migrate", "stauts"}, "outbox-relay: unknown command \"stauts\" of outbox-relay migrate, did you mean status?\n  next:  see outbox-relay migrate --help\n"},
		"password of a letter": {[]string{"run", "-phunter2"}, "outbox-relay: unknown flag -p\n  next:  see outbox-relay run --help\n"},
		"superfluous word":     {[]string{"run", "now"}, "outbox-relay: outbox-relay run takes no arguments, and 1 were given\n  next:  see outbox-relay run --help\n"},
		"unknown flag":         {[]string{"run", "--colour"}, "outbox-relay: unknown flag: --colour\n  next:  see outbox-relay run --help\n"},
		"misspelt flag":        {[]string{"run", "--mq.nats-ulr=x"}, "outbox-relay: unknown flag: --mq.nats-ulr, did you mean --mq.nats_url?\n  next:  see outbox-relay run --help\n"},
		"flag without value":   {[]string{"status", "--interval"}, "outbox-relay: flag needs an argument: --interval\n  next:  see outbox-relay status --help\n"},
		"impossible interval":  {[]string{"status", "--interval=1ms"}, "outbox-relay: --interval is 1ms, allowed: 100ms or more\n  next:  see outbox-relay status --help\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cli(t, tc.args...)
			require.Equal(t, codeUsage, got.code)
			require.Empty(t, got.out)
			require.Regexp(t, "(?s)(^|\n)outbox-relay: .*$", got.err)
			require.Equal(t, tc.want, got.err[len(got.err)-min(len(tc.want), len(got.err)):])
		})
	}
}

func TestWrongConfigurationEndsWithTwoEverywhere(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"run"}, {"migrate", "up"}, {"migrate", "down"}, {"migrate", "status"}, {"status"}, {"publish", "game.x"},
		{"dead", "list"}, {"dead", "show", "1"}, {"dead", "retry", "1"}, {"dead", "discard", "1", "--note=x"},
		{"verify"}, {"replay", "--all", "--new-ids"}, {"replay", "list"},
	} {
		got := call{args: args, env: []string{"OUTBOX_LOG_LEVEL=loud", "OUTBOX_MQ_NATSURL=hunter2"}}.run(t)
		require.Equal(t, codeUsage, got.code, args)
		require.Equal(t, `outbox-relay: the configuration cannot be used
  cause: OUTBOX_LOG_LEVEL: log.level is loud; allowed: debug, info, warn, error
         OUTBOX_MQ_NATSURL: is not a known variable; did you mean OUTBOX_MQ_NATS_URL?
         postgres.url is not set; set it in config.yaml, as OUTBOX_POSTGRES_URL or as --postgres.url
  next:  correct it; `+"`outbox-relay config print --defaults`"+` shows every setting
`, got.err, args)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"migrate", "up", "--help"}, {"help", "publish"}, {"completion", "--help"}} {
		got := cli(t, args...)
		require.Equal(t, codeOK, got.code, args)
		require.Contains(t, got.out, "Usage:", args)
		require.Empty(t, got.err, args)
	}
	require.Contains(t, cli(t, "run", "--help").out, "--relay.batch_bytes size")
	migrate := cli(t, "migrate", "up", "--help").out
	require.Contains(t, migrate, "--postgres.url_file path")
	require.NotContains(t, migrate, "--relay.", "settings of no interest here are accepted but not shown")
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := cli(t, "completion", shell)
		require.Equal(t, codeOK, got.code)
		require.Contains(t, got.out, "outbox-relay")
	}
	require.Contains(t, cli(t, "__complete", "migrate", "").out, "status")
}

func TestNextStepsNameTheSource(t *testing.T) {
	t.Parallel()
	root := newRootCommand(nil)
	told := func(words []string, flags ...string) *cobra.Command {
		command, _, err := root.Find(words)
		require.NoError(t, err)
		require.NoError(t, command.ParseFlags(flags))
		return command
	}
	eu, whole := told([]string{"dead", "show"}, "--source=eu"), told([]string{"verify"})
	for text, want := range map[string]string{
		"outbox-relay replay --resume 7":                "outbox-relay replay --source eu --resume 7",
		"see outbox-relay replay list":                  "see outbox-relay replay list --source eu",
		"outbox-relay dead show ID tells":               "outbox-relay dead show --source eu ID tells",
		"`outbox-relay status` and outbox-relay verify": "`outbox-relay status --source eu` and outbox-relay verify --source eu",
		"see outbox-relay status whether a relay leads": "see outbox-relay status --source eu whether a relay leads",
		"with: outbox-relay migrate down --drop-rows":   "with: outbox-relay migrate down --source eu --drop-rows",
		"`outbox-relay config print --defaults`":        "`outbox-relay config print --defaults`",
		"use a version of outbox-relay that is newer":   "use a version of outbox-relay that is newer",
		"see the log of the server":                     "see the log of the server",
	} {
		require.Equal(t, want, withSource(text, eu))
		require.Equal(t, text, withSource(text, whole), "there is one source")
	}
}

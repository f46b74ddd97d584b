package main

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay/selection"
)

func selectionOf(t *testing.T, now time.Time, args ...string) (selection.Selection, error) {
	t.Helper()
	var f selectionFlags
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.add(flags)
	require.NoError(t, flags.Parse(args))
	return f.selection(now)
}

func TestSelectionFlags(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	id := outbox.NewID()
	got, err := selectionOf(t, now, "--since=2h", "--until=2026-01-31T07:30:00Z", "--subject=game.>", "--key=k", "--first=3", "--last=9",
		"--event-id", id.String())
	require.NoError(t, err)
	require.Equal(t, selection.Selection{
		First: 3, Last: 9, EventIDs: []outbox.ID{id}, Subject: "game.>", Key: "k", Since: now.Add(-2 * time.Hour), Until: now.Add(-30 * time.Minute),
	}, got)
	got, err = selectionOf(t, now)
	require.NoError(t, err)
	require.True(t, got.Empty())
}

func TestSelectionFlagsReportAllProblems(t *testing.T) {
	t.Parallel()
	_, err := selectionOf(t, time.Now(), "--since=yesterday", "--until=-2h", "--event-id=7", "--subject=a..b", "--first=9", "--last=3")
	for _, want := range []string{`--since: "yesterday" is no time`, `--until: "-2h" is no time`, `"7" is not a UUID`, `"a..b" is no pattern`, "9 to 3 are no range"} {
		require.ErrorContains(t, err, want)
	}
}

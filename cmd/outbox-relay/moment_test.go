package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2h":                        now.Add(-2 * time.Hour),
		"1h30m":                     now.Add(-90 * time.Minute),
		"0s":                        now,
		"2026-03-04T11:00:00Z":      now.Add(-time.Hour),
		"2026-03-04T13:00:00+02:00": now.Add(-time.Hour),
	} {
		got, err := parseMoment(text, now)
		require.NoError(t, err, text)
		require.True(t, want.Equal(got), "%s: %s", text, got)
	}
	for _, text := range []string{"", "yesterday", "-2h", "2", "2026-03-04"} {
		_, err := parseMoment(text, now)
		require.ErrorContains(t, err, "is no time; allowed: RFC 3339", text)
	}
	_, err := parseMoment("3d", now)
	require.ErrorContains(t, err, "; write 72h")
}

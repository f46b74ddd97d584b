package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	line := newProgressBar(&out)
	line.show("replay 1", 5, 10, "events")
	line.clear()
	require.Empty(t, out.String(), "nobody looks")

	line.on = true
	line.show("replay 1", 5, 10, "events")
	require.Equal(t, "\rreplay 1 [##########..........]  50%  5 of 10 events", out.String())
	line.show("replay 1", 6, 10, "events")
	require.Equal(t, 1, strings.Count(out.String(), "\r"), "not so soon again")
	out.Reset()
	line.show("waiting", 0, 0, "")
	require.Equal(t, "\rwaiting [####################] 100%"+strings.Repeat(" ", 17), out.String(), "the rest of the old line is gone")
	out.Reset()
	line.clear()
	require.Equal(t, "\r"+strings.Repeat(" ", 35)+"\r", out.String())
}

func TestPaceText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "  500/s  4s left", paceText(2*time.Second, 1000, 2000, "events"))
	require.Equal(t, "  4s left", paceText(2*time.Second, 1000, 2000, ""))
	require.Empty(t, paceText(2*time.Second, 0, 2000, ""))
	require.Empty(t, paceText(time.Millisecond, 10, 2000, ""))
}

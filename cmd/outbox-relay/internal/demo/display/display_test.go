package display

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
)

func view() View {
	return View{
		Phase: "playing", Elapsed: 7 * time.Second, Duration: 20 * time.Second, Rate: 500,
		Account: account.Snapshot{
			Committed: 3521, Received: 3400, Delivered: 3399, Waiting: 122, Duplicated: 1, RolledBack: 280,
			ToStored:   account.Latency{P50: 1900 * time.Microsecond, P99: 4200 * time.Microsecond},
			ToReceived: account.Latency{P50: 2100 * time.Microsecond, P99: 15 * time.Second},
		},
		Published: 3401, Backlog: 1234,
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := NewLines(&out)
	l.Say("Starting")
	l.Show(view())
	assert.Equal(t, "Starting\n"+
		"  7s playing: committed 3521, published 3401, received 3400, lost 0, duplicated 1, out of order 0, "+
		"rolled back 280 (seen 0), backlog 1234, failed 0; to stored p50 1.9 ms, p99 4.2 ms; to received p50 2.1 ms, p99 15 s\n", out.String())
}

// screen is a terminal as simple as the table needs it.
type screen struct {
	lines  []string // the last is where the cursor may stand, and empty then
	cursor int
	begun  bool // something was written on the cursor's line since it came there
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		text = s.take(text)
		for len(s.lines) <= s.cursor {
			s.lines = append(s.lines, "")
		}
	}
	return len(p), nil
}

// take obeys the sequence or character at the front of text and returns the rest.
func (s *screen) take(text string) string {
	if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
		end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
		s.obey(rest[:end], rest[end])
		return rest[end+1:]
	}
	if text[0] == '\n' {
		s.cursor++
		s.begun = false
		return text[1:]
	}
	end := strings.IndexAny(text, "\x1b\n")
	if !s.begun {
		s.lines[s.cursor], s.begun = "", true
	}
	s.lines[s.cursor] += text[:end]
	return text[end:]
}

func (s *screen) obey(argument string, command byte) {
	switch command {
	case 'A':
		lines, _ := strconv.Atoi(argument)
		s.cursor -= lines
		s.begun = false
	case 'J':
		s.lines = append(s.lines[:s.cursor], "")
	}
}

func TestTableIsDrawnInPlace(t *testing.T) {
	t.Parallel()
	s := &screen{lines: []string{""}}
	table := NewTable(s)
	table.Say("one")
	table.Show(view())
	height := len(s.lines)
	table.Show(view())
	assert.Len(t, s.lines, height, "the second table is where the first was")
	assert.Equal(t, "one", s.lines[0])

	table.Say("two")
	assert.Equal(t, []string{"one", "two", ""}, s.lines, "the table made room")
	table.Show(view())
	assert.Len(t, s.lines, height+1)
}

func TestTheLastTableStays(t *testing.T) {
	t.Parallel()
	s := &screen{lines: []string{""}}
	table := NewTable(s)
	table.Show(view())
	table.Finish(view())
	height := len(s.lines)
	table.Say("verdict")
	assert.Equal(t, "verdict", s.lines[height-1], "right below the table")
	assert.Contains(t, s.lines[1], "playing   7 s of 20 s", "which is whole")
}

func TestTableShowsFaultsInRed(t *testing.T) {
	t.Parallel()
	text := strings.Join(table(view()), "\n")
	assert.Contains(t, text, "committed            3,521   events of the game")
	assert.Contains(t, text, "duplicated    "+red+"           1"+plain)
	assert.Contains(t, text, "lost          "+green+"           0"+plain)
	assert.Contains(t, text, "leaked        "+green+"           0"+plain+"   received, of 280 events rolled back on purpose")
	assert.Contains(t, text, strings.Repeat("█", 12)+"\n")
}

func TestTableTellsOfTrouble(t *testing.T) {
	t.Parallel()
	v := view()
	v.Failed, v.Account.InDoubt, v.Account.Foreign = 3, 1, 2
	assert.Equal(t, "  3 transactions failed, 1 events whose commit is in doubt, 2 received that cannot be read", trouble(v))
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		assert.Equal(t, want, Count(n))
	}
	for d, want := range map[time.Duration]string{
		0: "0.0 ms", 420 * time.Microsecond: "0.4 ms", 99 * time.Millisecond: "99.0 ms", 1234 * time.Millisecond: "1.23 s", time.Minute: "60 s",
	} {
		assert.Equal(t, want, Span(d))
	}
}

package display

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// The ANSI sequences that the table needs.
const (
	up        = "\x1b[%dA" // so many lines up
	clearDown = "\x1b[J"   // everything from here on
	clearLine = "\x1b[K"   // the rest of the line
	wrapOff   = "\x1b[?7l" // cut long lines off, so that a line of text is a line of the screen
	wrapOn    = "\x1b[?7h" //
	bold      = "\x1b[1m"  //
	red       = "\x1b[31m" //
	green     = "\x1b[32m" //
	plain     = "\x1b[0m"  //
)

// Table draws the account in place. Use [NewTable].
type Table struct {
	out   io.Writer
	drawn int // lines of the table on the screen, right above the cursor
}

// NewTable returns a display for the terminal that out is.
func NewTable(out io.Writer) *Table { return &Table{out: out} }

// Interval is a fifth of a second.
func (*Table) Interval() time.Duration { return 200 * time.Millisecond }

// Say prints the line above the table, which the next Show draws again.
func (t *Table) Say(line string) {
	_, _ = io.WriteString(t.out, t.home()+clearDown+line+"\n")
	t.drawn = 0
}

// Show draws the table over the one that is there, in one write, so that it does not flicker.
func (t *Table) Show(v View) {
	rows := table(v)
	var b strings.Builder
	b.WriteString(t.home() + wrapOff)
	for _, row := range rows {
		b.WriteString(row + clearLine + "\n")
	}
	b.WriteString(wrapOn)
	_, _ = io.WriteString(t.out, b.String())
	t.drawn = len(rows)
}

// Finish draws the table for the last time: what is said afterwards goes below it.
func (t *Table) Finish(v View) {
	t.Show(v)
	t.drawn = 0
}

// home moves the cursor to the first line of the table.
func (t *Table) home() string {
	if t.drawn == 0 {
		return ""
	}
	return fmt.Sprintf(up, t.drawn)
}

// table returns the lines of the table.
func table(v View) []string {
	a := v.Account
	return []string{
		"",
		fmt.Sprintf("  %s%s%s   %s", bold, v.Phase, plain, clock(v)),
		"",
		row("committed", Count(a.Committed), fmt.Sprintf("events of the game, %s a second wanted", Count(v.Rate))),
		row("published", Count(v.Published), "acknowledged by JetStream"),
		row("received", Count(a.Received), "by a client of the stream"),
		row("backlog", Count(v.Backlog), bar(v.Backlog, int64(v.Rate))),
		"",
		fault("lost", a.Lost, "committed, and missing in the stream"),
		fault("duplicated", a.Duplicated, "received again"),
		fault("out of order", a.OutOfOrder, "received after a later event of the player"),
		fault("leaked", a.Leaked, fmt.Sprintf("received, of %s events rolled back on purpose", Count(a.RolledBack))),
		"",
		row("to stored", Span(a.ToStored.P50), "p50, "+Span(a.ToStored.P99)+" p99, since the commit returned"),
		row("to received", Span(a.ToReceived.P50), "p50, "+Span(a.ToReceived.P99)+" p99"),
		trouble(v),
	}
}

// clock tells how much of the game is over, and after the game how long all of it took.
func clock(v View) string {
	if v.Elapsed > v.Duration {
		return fmt.Sprintf("%d s", int(v.Elapsed.Seconds()))
	}
	return fmt.Sprintf("%d s of %.0f s", int(v.Elapsed.Seconds()), v.Duration.Seconds())
}

func row(name, value, note string) string { return fmt.Sprintf("  %-14s%12s   %s", name, value, note) }

// fault is a row whose value should be 0.
func fault(name string, n int, note string) string {
	colour := green
	if n != 0 {
		colour = red
	}
	return fmt.Sprintf("  %-14s%s%12s%s   %s", name, colour, Count(n), plain, note)
}

// barWidth is the most blocks that a bar has.
const barWidth = 40

// bar draws the backlog: a block is a fifth of a second's events.
func bar(backlog, rate int64) string {
	blocks := min(backlog*5/max(rate, 1), barWidth)
	return strings.Repeat("█", int(blocks))
}

// trouble tells of what is not part of the game.
func trouble(v View) string {
	var parts []string
	if v.Failed > 0 {
		parts = append(parts, Count(v.Failed)+" transactions failed")
	}
	if v.Account.InDoubt > 0 {
		parts = append(parts, Count(v.Account.InDoubt)+" events whose commit is in doubt")
	}
	if v.Account.Foreign > 0 {
		parts = append(parts, Count(v.Account.Foreign)+" received that cannot be read")
	}
	return "  " + strings.Join(parts, ", ")
}

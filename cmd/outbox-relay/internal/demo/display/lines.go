package display

import (
	"fmt"
	"io"
	"time"
)

// Lines prints one line for each Show: for logs, pipes and build servers.
type Lines struct{ out io.Writer }

// NewLines returns a display that writes lines to out.
func NewLines(out io.Writer) *Lines { return &Lines{out: out} }

// Interval is one second.
func (*Lines) Interval() time.Duration { return time.Second }

// Say prints the line.
func (l *Lines) Say(line string) { _, _ = fmt.Fprintln(l.out, line) }

// Finish prints the account as one line.
func (l *Lines) Finish(v View) { l.Show(v) }

// Show prints the account as one line.
func (l *Lines) Show(v View) {
	a := v.Account
	_, _ = fmt.Fprintf(l.out, "%3ds %s: committed %d, published %d, received %d, lost %d, duplicated %d, out of order %d, "+
		"rolled back %d (seen %d), backlog %d, failed %d; to stored %s; to received %s\n",
		int(v.Elapsed.Seconds()), v.Phase, a.Committed, v.Published, a.Received, a.Lost, a.Duplicated, a.OutOfOrder,
		a.RolledBack, a.Leaked, v.Backlog, v.Failed, Quantiles(a.ToStored), Quantiles(a.ToReceived))
}

package main

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/relay/deadletter"
)

// shownGroups is how many lines a summary of dead letters has.
const shownGroups = 20

// deadChange are the flags of the commands that change dead letters.
type deadChange struct {
	which  deadSelection
	dryRun bool
	trail  deadletter.Trail
}

// addTo adds the flags to a command; note is what the help says of --note.
func (f *deadChange) addTo(cmd *cobra.Command, note string) {
	f.which.addTo(cmd, true)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would happen, and change nothing")
	cmd.Flags().StringVar(&f.trail.By, "by", osUser(), "`name` of who does it, for outbox.dead_letter_log")
	cmd.Flags().StringVar(&f.trail.Note, "note", "", note)
}

// osUser returns the name of who runs the program, as far as the system knows.
func osUser() string {
	current, err := user.Current()
	if err != nil {
		return ""
	}
	return current.Username
}

// meantLetters are the dead letters that a selection means, before anything is done about them.
type meantLetters struct {
	groups []deadletter.Group
	total  int64
	absent []string // the ids that were named and that no dead letter has
}

// meant looks at what a selection means.
func (d deadLetters) meant(ctx context.Context, sel deadletter.Selection) (m meantLetters, err error) {
	if m.groups, err = d.Count(ctx, sel); err != nil {
		return m, d.explain(ctx, "cannot count the dead letters", err)
	}
	if m.absent, err = d.Absent(ctx, sel); err != nil {
		return m, d.explain(ctx, "cannot read the dead letters", err)
	}
	m.total = sum(m.groups)
	return m, nil
}

// complete returns a failure if a dead letter that was named is not there.
func (m meantLetters) complete() error {
	if len(m.absent) == 0 {
		return nil
	}
	return &failure{
		what: "no dead letter has the id " + strings.Join(m.absent, ", "),
		next: "see outbox-relay dead list; outbox-relay dead show ID tells what became of one that was there",
	}
}

// preview says what would be done, or that there is nothing to do; verb is what would be done.
func (m meantLetters) preview(out io.Writer, verb string) error {
	if m.total == 0 {
		fmt.Fprintln(out, "no dead letter matches; nothing to do")
		return m.complete()
	}
	fmt.Fprintf(out, "would %s %s:\n", verb, count(m.total, "dead letter"))
	if err := writeGroups(out, m.groups); err != nil {
		return err
	}
	fmt.Fprintln(out, "nothing was changed")
	return m.complete()
}

// writeGroups writes a table of how many dead letters there are by reason and subject.
func writeGroups(out io.Writer, groups []deadletter.Group) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COUNT\tREASON\tSUBJECT")
	for _, group := range groups[:min(len(groups), shownGroups)] {
		fmt.Fprintf(table, "%d\t%s\t%s\n", group.Events, printable(group.Reason), printable(group.Subject))
	}
	if rest := groups[min(len(groups), shownGroups):]; len(rest) > 0 {
		fmt.Fprintf(table, "%d\t\twith %s\n", sum(rest), otherGroups(len(rest)))
	}
	return table.Flush()
}

func otherGroups(n int) string {
	if n == 1 {
		return "another subject or reason"
	}
	return fmt.Sprintf("%d other subjects or reasons", n)
}

// interrupted says how far a command came before it was told to stop.
func interrupted(did string, done int, total int64) error {
	return &failure{
		what: fmt.Sprintf("interrupted: %s %d of %s", did, done, count(total, "dead letter")),
		next: "run the command again to go on with the others",
	}
}

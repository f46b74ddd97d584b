package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/relay/deadletter"
)

// How much of a text a line of the table shows, in characters.
const (
	shownSubject = 48
	shownKey     = 32
	shownError   = 72
)

// deadList are the flags of the command.
type deadList struct {
	which  deadSelection
	asJSON bool
	limit  int
	sort   string
}

func newDeadListCommand(environ []string) *cobra.Command {
	var list deadList
	cmd := &cobra.Command{
		Use:   "list [ID...]",
		Short: "Lists dead letters, those that failed last first",
		Long: `Lists dead letters, those that failed last first. Without a selection it lists them all, up to --limit. An ID is that of a row or
that of an event; of several filters all must apply.`,
		Example: `  outbox-relay dead list --since 2h
  outbox-relay dead list --reason too_large --subject 'game.chat.>' --json`,
	}
	list.which.addTo(cmd, false)
	cmd.Flags().BoolVar(&list.asJSON, "json", false, "print JSON, one object a line, with whole errors")
	cmd.Flags().IntVar(&list.limit, "limit", 50, "the most that is listed; 0 means no limit")
	cmd.Flags().StringVar(&list.sort, "sort", "newest", "`order`: newest or id")
	load := sourceOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sel, err := list.which.selection(cmd, args)
		if err == nil {
			err = list.validate()
		}
		if err != nil {
			return usageError(cmd, err)
		}
		return withDeadLetters(cmd, load, func(ctx context.Context, dead deadLetters) error {
			return list.run(ctx, dead, sel, cmd.OutOrStdout(), cmd.ErrOrStderr())
		})
	}
	return cmd
}

func (l deadList) validate() error {
	if l.limit < 0 {
		return fmt.Errorf("--limit is %d, allowed: 0 (no limit) or more", l.limit)
	}
	if l.sort != "newest" && l.sort != "id" {
		return fmt.Errorf("--sort is %q, allowed: newest or id", l.sort)
	}
	return nil
}

func (l deadList) run(ctx context.Context, dead deadLetters, sel deadletter.Selection, out, notes io.Writer) error {
	buffered := bufio.NewWriter(out)
	list := letterList{out: buffered}
	if l.asJSON {
		list.encoder = json.NewEncoder(buffered)
	}
	err := dead.Each(ctx, sel, deadletter.ListOptions{Limit: l.limit, ByID: l.sort == "id"}, list.add)
	if err == nil {
		err = list.flush()
	}
	switch {
	case list.broken != nil:
		return list.broken
	case err != nil:
		return errors.Join(buffered.Flush(), dead.explain(ctx, "cannot list the dead letters", err))
	}
	return errors.Join(l.end(ctx, dead, sel, list.shown, buffered, notes), buffered.Flush())
}

// end says how many more there are, or that there are none.
func (l deadList) end(
	ctx context.Context, dead deadLetters, sel deadletter.Selection, shown int64, out, notes io.Writer,
) error {
	more := int64(0)
	if l.limit > 0 && shown == int64(l.limit) {
		groups, err := dead.Count(ctx, sel)
		if err != nil {
			return dead.explain(ctx, "cannot count the dead letters", err)
		}
		more = sum(groups) - shown
	}
	switch {
	case l.asJSON && more > 0:
		fmt.Fprintf(notes, "%d more are not listed; raise --limit to see them\n", more)
	case l.asJSON:
	case more > 0:
		fmt.Fprintf(out, "and %d more; raise --limit to see them\n", more)
	case shown == 0 && sel.Empty():
		fmt.Fprintln(out, "there are no dead letters")
	case shown == 0:
		fmt.Fprintln(out, "no dead letter matches")
	}
	return nil
}

// sum returns how many dead letters are in groups.
func sum(groups []deadletter.Group) (events int64) {
	for _, group := range groups {
		events += group.Events
	}
	return events
}

// tableLines is how many lines of a table are aligned together. They are kept in memory until then.
const tableLines = 1000

// letterList writes dead letters as they come, as JSON or as a table.
type letterList struct {
	out     io.Writer
	encoder *json.Encoder // nil for a table
	table   *tabwriter.Writer
	shown   int64
	broken  error // of writing
}

// add writes one dead letter.
func (w *letterList) add(l deadletter.Letter) error {
	w.shown++
	if w.encoder != nil {
		w.broken = w.encoder.Encode(l)
		return w.broken
	}
	if w.table == nil {
		w.table = tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w.table, "ID\tEVENT ID\tSUBJECT\tKEY\tREASON\tATTEMPTS\tFIRST FAILED\tLAST FAILED\tERROR")
	}
	fmt.Fprintf(w.table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.ID, l.EventID, shorten(l.Subject, shownSubject), keyOf(l),
		printable(l.Reason), l.Attempts, moment(l.FirstFailedAt), moment(l.LastFailedAt), shorten(l.Error, shownError))
	if w.shown%tableLines == 0 {
		return w.flush()
	}
	return nil
}

// flush writes the lines that wait to be aligned.
func (w *letterList) flush() error {
	if w.table != nil {
		w.broken = w.table.Flush()
	}
	return w.broken
}

// keyOf returns the key of a dead letter, and whether it is held.
func keyOf(l deadletter.Letter) string {
	key := shorten(l.Key, shownKey)
	switch {
	case l.Key == "":
		return "-"
	case l.Held:
		return key + " (held)"
	}
	return key
}

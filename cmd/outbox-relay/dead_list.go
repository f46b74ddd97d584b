package main

import (
	"context"
	"encoding/json"
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
	letters, err := dead.List(ctx, sel, deadletter.ListOptions{Limit: l.limit, ByID: l.sort == "id"})
	if err != nil {
		return dead.explain(ctx, "cannot list the dead letters", err)
	}
	total := int64(len(letters))
	if l.limit > 0 && len(letters) == l.limit {
		groups, err := dead.Count(ctx, sel)
		if err != nil {
			return dead.explain(ctx, "cannot count the dead letters", err)
		}
		total = max(total, sum(groups))
	}
	if l.asJSON {
		return writeLetters(out, notes, letters, total)
	}
	return writeLetterTable(out, letters, total, sel.Empty())
}

// sum returns how many dead letters are in groups.
func sum(groups []deadletter.Group) (events int64) {
	for _, group := range groups {
		events += group.Events
	}
	return events
}

func writeLetters(out, notes io.Writer, letters []deadletter.Letter, total int64) error {
	encoder := json.NewEncoder(out)
	for _, letter := range letters {
		if err := encoder.Encode(letter); err != nil {
			return err
		}
	}
	if more := total - int64(len(letters)); more > 0 {
		fmt.Fprintf(notes, "%d more are not listed; raise --limit to see them\n", more)
	}
	return nil
}

func writeLetterTable(out io.Writer, letters []deadletter.Letter, total int64, all bool) error {
	if len(letters) == 0 {
		text := "no dead letter matches"
		if all {
			text = "there are no dead letters"
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tEVENT ID\tSUBJECT\tKEY\tREASON\tATTEMPTS\tFIRST FAILED\tLAST FAILED\tERROR")
	for _, l := range letters {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.ID, l.EventID, shorten(l.Subject, shownSubject), keyOf(l),
			l.Reason, l.Attempts, moment(l.FirstFailedAt), moment(l.LastFailedAt), shorten(l.Error, shownError))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := total - int64(len(letters)); more > 0 {
		_, err := fmt.Fprintf(out, "and %d more; raise --limit to see them\n", more)
		return err
	}
	return nil
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

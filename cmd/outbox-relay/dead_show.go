package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay/deadletter"
)

func newDeadShowCommand(environ []string) *cobra.Command {
	var payload bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Shows one dead letter with its headers, its payload and its history",
		Long: `Shows everything about one dead letter, named by the id of its row or by its event id. A payload that is JSON is indented, one that
cannot be printed is shown as the beginning of a hex dump; --payload writes it byte for byte instead of everything else.`,
		Example: `  outbox-relay dead show 42
  outbox-relay dead show 42 --payload > payload.bin`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&payload, "payload", false, "write the payload alone, byte for byte")
	load := sourceOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var sel deadletter.Selection
		if err := name(&sel, args[0]); err != nil {
			return usageError(cmd, err)
		}
		return withDeadLetters(cmd, load, func(ctx context.Context, dead deadLetters) error {
			one, err := dead.read(ctx, args[0], sel)
			if err != nil {
				return err
			}
			if payload {
				_, err := raw(cmd.OutOrStdout()).Write(one.content.Payload)
				return err
			}
			return one.write(cmd.OutOrStdout())
		})
	}
	return cmd
}

// wholeLetter is everything that is known of a dead letter.
type wholeLetter struct {
	deadletter.Letter
	content deadletter.Content
	history []deadletter.Entry
	waiting deadletter.Waiting // events of its key
}

// read returns the dead letter that an argument names.
func (d deadLetters) read(ctx context.Context, arg string, sel deadletter.Selection) (one wholeLetter, err error) {
	const what = "cannot read the dead letter"
	letters, err := d.List(ctx, sel, deadletter.ListOptions{Limit: 2, ByID: true})
	if err != nil {
		return one, d.explain(ctx, what, err)
	}
	switch len(letters) {
	case 0:
		return one, d.notFound(ctx, arg, sel)
	case 2:
		return one, &failure{
			what: fmt.Sprintf("more than one dead letter has the id %s", arg),
			next: fmt.Sprintf("run: outbox-relay dead list %s, and name the one you mean by its other id", arg),
		}
	}
	one.Letter = letters[0]
	if one.content, _, err = d.Content(ctx, one.Ref()); err != nil {
		return one, d.explain(ctx, what, err)
	}
	if one.history, err = d.History(ctx, nil, []outbox.ID{one.EventID}); err != nil {
		return one, d.explain(ctx, "cannot read the history of the dead letter", err)
	}
	if one.Key != "" {
		if one.waiting, err = d.Waiting(ctx, one.Key); err != nil {
			return one, d.explain(ctx, "cannot count the events of the key", err)
		}
	}
	return one, nil
}

// notFound says that there is no such dead letter, and what became of it if there was one.
func (d deadLetters) notFound(ctx context.Context, arg string, sel deadletter.Selection) error {
	f := &failure{what: fmt.Sprintf("no dead letter has the id %s", arg), next: "see outbox-relay dead list"}
	history, err := d.History(ctx, sel.IDs, sel.EventIDs)
	if err != nil || len(history) == 0 {
		return f
	}
	f.cause = errors.New(describe(history[len(history)-1]))
	return f
}

// write writes a dead letter for people.
func (l wholeLetter) write(out io.Writer) error {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row("id", "%d", l.ID)
	t.row("event id", "%s", l.EventID)
	t.row("subject", "%s", printable(l.Subject))
	t.row("key", "%s", l.describeKey())
	t.row("reason", "%s", l.Reason)
	t.row("error", "%s", shorten(l.Error, len(l.Error)+1))
	t.row("attempts", "%d", l.Attempts)
	t.row("created", "%s", moment(l.CreatedAt))
	t.row("first failed", "%s", moment(l.FirstFailedAt))
	t.row("last failed", "%s", moment(l.LastFailedAt))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, part := range []struct{ name, text string }{
		{"headers", renderHeaders(l.content.Headers)},
		{"payload, " + count(l.PayloadBytes, "byte"), renderPayload(l.content.Payload)},
		{"history", l.renderHistory()},
	} {
		if _, err := fmt.Fprintf(out, "\n%s\n%s", part.name, indent(part.text)); err != nil {
			return err
		}
	}
	return nil
}

func (l wholeLetter) describeKey() string {
	if l.Key == "" {
		return "-"
	}
	least := "at least "
	if l.waiting.Exact {
		least = ""
	}
	text := fmt.Sprintf("%s, of which %s%s in outbox.events", printable(l.Key), least, waits(l.waiting.Events))
	if l.Held {
		text += " until its dead letters are retried or discarded"
	}
	return text
}

func waits(events int64) string {
	if events == 1 {
		return "1 event waits"
	}
	return fmt.Sprintf("%d events wait", events)
}

func (l wholeLetter) renderHistory() string {
	if len(l.history) == 0 {
		return "nobody has retried it yet\n"
	}
	var lines strings.Builder
	for _, entry := range l.history {
		lines.WriteString(describe(entry) + "\n")
	}
	return lines.String()
}

// describe writes a line of the log.
func describe(e deadletter.Entry) string {
	did := "discarded"
	if e.Action == "retry" {
		did = "retried"
	}
	text := fmt.Sprintf("%s %s by %s", moment(e.At), did, printable(e.Actor))
	if e.NewID != nil && *e.NewID != e.ID {
		text += fmt.Sprintf(" as id %d", *e.NewID)
	}
	if e.Outcome != "" {
		text += ", outcome " + e.Outcome
	}
	if e.Note != "" {
		text += ": " + printable(e.Note)
	}
	return text
}

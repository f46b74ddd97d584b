package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/relay/replay"
	"github.com/gameoutbox/relay/relay/selection"
)

// maxListedReplays is how many replays the list shows.
const maxListedReplays = 100

func newReplayListCommand(environ []string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: fmt.Sprintf("Lists the last %d replays, the newest first", maxListedReplays),
		Args:  noArguments,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	load := sourceOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load("postgres.url")
		if err != nil {
			return err
		}
		pool, err := openOperatorPool(cmd.Context(), settings)
		if err != nil {
			return err
		}
		defer pool.Close()
		replays, err := replay.List(cmd.Context(), pool, maxListedReplays)
		if err != nil {
			return explainDatabase(cmd.Context(), pool, settings, "cannot list the replays", err)
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(append([]replay.Replay{}, replays...))
		}
		return writeReplays(cmd.OutOrStdout(), replays)
	}
	return cmd
}

func writeReplays(out io.Writer, replays []replay.Replay) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTARTED\tBY\tIDS\tEVENTS\tSTATE\tSELECTION")
	for _, r := range replays {
		ids := "same"
		if r.NewIDs {
			ids = "new"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n",
			r.ID, r.StartedAt.UTC().Format(time.RFC3339), printable(r.Actor), ids, r.Events, stateOfReplay(r),
			printable(selectionText(r.Selection)))
	}
	return t.Flush()
}

func stateOfReplay(r replay.Replay) string {
	if r.Finished() {
		return "finished " + r.FinishedAt.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("at id %d of %d", r.LastID, r.EndID)
}

// selectionText writes a selection as it is stored.
func selectionText(what selection.Selection) string {
	text, err := json.Marshal(what)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// printPreview shows what a replay would publish.
func (r *replayCommand) printPreview(found replay.Preview, window duplicateWindow) error {
	if r.asJSON {
		return json.NewEncoder(r.out).Encode(found)
	}
	var text bytes.Buffer
	t := table{tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)}
	t.row("events", "%d", found.Events)
	if found.Events > 0 {
		t.row("written", "%s to %s", found.First.Format(time.RFC3339), found.Last.Format(time.RFC3339))
		t.row("duplicates", "%s", r.windowText(found, window))
		fmt.Fprintln(t, "\nEVENTS\tSUBJECT")
		for _, each := range found.Subjects {
			fmt.Fprintf(t, "%d\t%s\n", each.Events, printable(each.Subject))
		}
	}
	if rest := found.SubjectCount - int64(len(found.Subjects)); rest > 0 {
		fmt.Fprintf(t, "...\tand %s\n", count(rest, "other subject"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := r.out.Write(text.Bytes())
	return err
}

func (r *replayCommand) windowText(found replay.Preview, window duplicateWindow) string {
	switch {
	case r.newIDs:
		return "none: the copies get new ids"
	case window.err != nil:
		return "unknown: the stream does not tell its duplicate window: " + window.err.Error()
	}
	return fmt.Sprintf("with --same-ids the stream would drop up to %d, acknowledged within its duplicate window (%s)", found.Recent, window.length)
}

// printDone shows what a replay has done.
func (r *replayCommand) printDone(done replay.Replay, total int64, leads bool) error {
	if r.asJSON {
		return json.NewEncoder(r.out).Encode(done)
	}
	text := fmt.Sprintf("replay %d has written %s again, for the relay to publish\n", done.ID, count(done.Events, "event"))
	if gone := total - done.Events; gone > 0 {
		text += fmt.Sprintf("%s of those selected were purged before their turn came; see relay.retention\n", count(gone, "event"))
	}
	if !leads {
		text += "no relay runs now; the copies are published when one does\n"
	}
	_, err := io.WriteString(r.out, text)
	return err
}

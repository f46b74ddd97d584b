package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/relay/deadletter"
)

// deadDiscard are the flags of the command.
type deadDiscard struct {
	deadChange
	yes bool
}

func newDeadDiscardCommand(environ []string) *cobra.Command {
	var discard deadDiscard
	cmd := &cobra.Command{
		Use:   "discard [ID...] --note WHY",
		Short: "Removes dead letters for good",
		Long: `Removes dead letters for good, and lets the events of keys go on that they hold. It needs a note that says why, and asks for
confirmation at a terminal. outbox.dead_letter_log keeps subject, key, reason, error and note, who did it and when, but no
payload and no headers: "outbox-relay dead show ID --payload" saves a payload first.

Many are removed in chunks. Ctrl-C leaves whole chunks done, and the same command goes on.`,
		Example: `  outbox-relay dead discard 42 --note 'chat message of 3 MB, the client is fixed'
  outbox-relay dead discard --reason too_large --subject 'game.chat.>' --note 'not worth splitting' --dry-run`,
	}
	discard.addTo(cmd, "`why` they are discarded; required")
	cmd.Flags().BoolVar(&discard.yes, "yes", false, "do not ask for confirmation")
	load := sourceOf(cmd, environ, "postgres")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sel, err := discard.which.toChange(cmd, args)
		if err == nil && strings.TrimSpace(discard.trail.Note) == "" && !discard.dryRun {
			err = errors.New("--note is missing: say why they are discarded")
		}
		if err != nil {
			return usageError(cmd, err)
		}
		return withDeadLetters(cmd, load, func(ctx context.Context, dead deadLetters) error {
			return discard.run(ctx, cmd, dead, sel)
		})
	}
	return cmd
}

func (d deadDiscard) run(ctx context.Context, cmd *cobra.Command, dead deadLetters, sel deadletter.Selection) error {
	out := cmd.OutOrStdout()
	meant, err := dead.meant(ctx, sel)
	switch {
	case err != nil:
		return err
	case d.dryRun || meant.total == 0:
		return meant.preview(out, "discard")
	case !d.yes && onTerminal(cmd.InOrStdin()):
		if err := askToDiscard(cmd.InOrStdin(), out, meant); err != nil {
			return err
		}
	}
	bar := newProgressBar(cmd.ErrOrStderr())
	done, err := dead.Discard(ctx, sel, d.trail, bar.counting("discard", meant.total))
	bar.clear()
	fmt.Fprintf(out, "discarded %s\n", count(int64(done), "dead letter"))
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted("discarded", done, meant.total)
	case err != nil:
		return dead.explain(ctx, "cannot discard the dead letters", err)
	}
	return meant.complete()
}

// askToDiscard returns a failure unless the person at the terminal says yes.
func askToDiscard(in io.Reader, out io.Writer, meant meantLetters) error {
	if err := writeGroups(out, meant.groups); err != nil {
		return err
	}
	if confirm(in, out, "Discard "+count(meant.total, "dead letter")+" for good?") {
		return nil
	}
	return &failure{what: "nothing was discarded: it was not confirmed", next: "answer y, or give --yes"}
}

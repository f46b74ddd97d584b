package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/replay"
)

// defaultReplayRate is far below what a relay publishes, so that new events are hardly delayed by a replay.
const defaultReplayRate = 1000

const replayHelp = `Publishes retained events (relay.retention) once more: copies of them are written into the outbox as new events, which the relay
publishes in order behind what was written before. Only events that were acknowledged are meant; the others are published anyway.

One of two must be chosen. --new-ids: each copy is a new event for everybody. --same-ids: consumers that dedup by event_id ignore the
copies, and the stream drops those of events that it stored within its duplicate window; if there are any, the command
says how many and refuses, unless --force is given.

A copy keeps the time at which its original was written (Outbox-Created-At). New events of the services wait behind the copies that
were written before them, hence --rate. Ctrl-C ends a replay after the step that it is at, with exit code 1, and says how to resume it:
each event is copied once. The role needs the rights of outbox.grant_operator.`

// replayCommand is one call of replay.
type replayCommand struct {
	settings *config.Settings
	flags    selectionFlags
	all      bool
	newIDs   bool
	sameIDs  bool
	force    bool
	dryRun   bool
	asJSON   bool
	resume   int64
	rate     int
	out, err io.Writer
}

func newReplayCommand(environ []string) *cobra.Command {
	var r replayCommand
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Publishes retained events once more",
		Long:  replayHelp,
		Example: `  outbox-relay replay --since 2h --subject 'game.player.>' --dry-run
  outbox-relay replay --since 2h --subject 'game.player.>' --new-ids --rate 500
  outbox-relay replay --resume 7`,
		Args: noArguments,
	}
	r.flags.add(cmd.Flags())
	cmd.Flags().BoolVar(&r.all, "all", false, "everything that is retained, without any other selection")
	cmd.Flags().BoolVar(&r.newIDs, "new-ids", false, "give the copies new event ids")
	cmd.Flags().BoolVar(&r.sameIDs, "same-ids", false, "let the copies keep the event ids")
	cmd.Flags().BoolVar(&r.force, "force", false, "with --same-ids: go on although the stream will drop some copies, or cannot be asked")
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "only show what would be published")
	cmd.Flags().BoolVar(&r.asJSON, "json", false, "print JSON")
	cmd.Flags().Int64Var(&r.resume, "resume", 0, "go on with the interrupted replay of this `id`")
	cmd.Flags().IntVar(&r.rate, "rate", defaultReplayRate, "most `events` a second; 0 means no limit")
	load := sourceOf(cmd, environ, "postgres", "mq", "redis")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := r.check(cmd); err != nil {
			return usageError(cmd, err)
		}
		if r.settings, err = load("postgres.url"); err != nil {
			return err
		}
		r.out, r.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return r.run(cmd.Context())
	}
	cmd.AddCommand(newReplayListCommand(environ))
	return cmd
}

// check refuses flags that contradict each other, and a replay that nobody has described.
func (r *replayCommand) check(cmd *cobra.Command) error {
	what, err := r.flags.selection(time.Now())
	resumes := cmd.Flags().Changed("resume")
	switch {
	case err != nil:
		return err
	case r.rate < 0:
		return fmt.Errorf("--rate is %d, allowed: 0 (no limit) or more", r.rate)
	case resumes && (!what.Empty() || r.all || r.newIDs || r.sameIDs || r.dryRun):
		return errors.New("--resume goes on with what the replay was started with; only --rate, --force and --json go with it")
	case resumes:
		return nil
	case what.Empty() != r.all:
		return errors.New("say which events are meant, or --all for everything that is retained, and not both")
	case r.newIDs && r.sameIDs, !r.newIDs && !r.sameIDs && !r.dryRun:
		return errors.New("choose --new-ids or --same-ids: see what they mean in the help")
	}
	return nil
}

func (r *replayCommand) run(ctx context.Context) error {
	pool, err := openOperatorPool(ctx, r.settings)
	if err != nil {
		return err
	}
	defer pool.Close()
	if r.resume != 0 {
		return r.goOn(ctx, pool)
	}
	what, err := r.flags.selection(time.Now())
	if err != nil {
		return err
	}
	window := r.askWindow(ctx)
	found, err := replay.Look(ctx, pool, what, window.length)
	if err != nil {
		return r.explain(ctx, pool, err)
	}
	if r.dryRun || found.Events == 0 {
		return r.printPreview(found, window)
	}
	if err := r.refuse(found, window, r.sameIDs); err != nil {
		return err
	}
	started, err := replay.Start(ctx, pool, what, r.newIDs)
	if err != nil {
		return r.explain(ctx, pool, err)
	}
	return r.copy(ctx, pool, started, found.Events)
}

// goOn resumes an interrupted replay.
func (r *replayCommand) goOn(ctx context.Context, pool *pgxpool.Pool) error {
	const look = "see outbox-relay replay list"
	interrupted, err := replay.Find(ctx, pool, r.resume)
	switch {
	case errors.Is(err, replay.ErrUnknown):
		return &failure{what: fmt.Sprintf("there is no replay %d", r.resume), next: look}
	case err != nil:
		return r.explain(ctx, pool, err)
	case interrupted.Finished():
		return &failure{what: fmt.Sprintf("replay %d has finished: %s", r.resume, count(interrupted.Events, "event")), next: look}
	}
	window := duplicateWindow{}
	if !interrupted.NewIDs {
		window = r.askWindow(ctx)
	}
	rest, err := replay.LookAhead(ctx, pool, interrupted, window.length)
	if err != nil {
		return r.explain(ctx, pool, err)
	}
	if err := r.refuse(rest, window, !interrupted.NewIDs); err != nil {
		return err
	}
	return r.copy(ctx, pool, interrupted, interrupted.Events+rest.Events)
}

// duplicateWindow is for how long the stream recognises events, or why that is not known.
type duplicateWindow struct {
	length time.Duration
	err    error
}

// askWindow asks the stream, which nobody needs for new ids.
func (r *replayCommand) askWindow(ctx context.Context) duplicateWindow {
	if r.newIDs {
		return duplicateWindow{}
	}
	broker, err := openLedger(r.settings)
	if err != nil {
		return duplicateWindow{err: err}
	}
	defer broker.close()
	state, err := broker.Inspect(ctx)
	return duplicateWindow{length: state.DuplicateWindow, err: err}
}

// refuse says why copies with the same ids would not all arrive.
func (r *replayCommand) refuse(found replay.Preview, window duplicateWindow, sameIDs bool) error {
	switch {
	case !sameIDs || r.force:
		return nil
	case window.err != nil:
		return &failure{
			what: "cannot ask the stream how many of the copies it would drop as duplicates", cause: window.err,
			next: "make it answer, or replay with --new-ids, or go on nevertheless with --force",
		}
	case found.Recent > 0:
		return &failure{
			what: fmt.Sprintf("the stream would drop the copies of up to %d of %s, which were acknowledged within its duplicate window (%s)",
				found.Recent, count(found.Events, "event"), window.length),
			next: fmt.Sprintf("replay again in %s, or with --new-ids, or go on nevertheless with --force", window.length),
		}
	}
	return nil
}

// copy runs a replay that copies about so many events in all.
func (r *replayCommand) copy(ctx context.Context, pool *pgxpool.Pool, started replay.Replay, total int64) error {
	line := newProgressBar(r.err)
	doing := fmt.Sprintf("replay %d", started.ID)
	show := func(now replay.Replay) {
		line.show(doing, uint64(now.Events), uint64(max(total, now.Events)), "events")
	}
	show(started)
	done, err := replay.Run(ctx, replay.Options{DB: pool, Rate: r.rate, Progress: show}, started)
	line.clear()
	switch {
	case errors.Is(err, replay.ErrInterrupted):
		return &failure{
			what: fmt.Sprintf("replay %d was interrupted after %d of %d events", done.ID, done.Events, total),
			next: fmt.Sprintf("outbox-relay replay --resume %d", done.ID),
		}
	case err != nil:
		return &failure{
			what: fmt.Sprintf("replay %d ended after %d of %d events", done.ID, done.Events, total), cause: err,
			value: r.settings.Show("postgres.url"), next: fmt.Sprintf("outbox-relay replay --resume %d", done.ID),
		}
	}
	leads, err := relay.HasLeader(ctx, pool)
	if err != nil {
		leads = true // nothing to complain about is known
	}
	return r.printDone(done, total, leads)
}

func (r *replayCommand) explain(ctx context.Context, pool *pgxpool.Pool, err error) error {
	if stopped := explainStopped(ctx, "nothing was copied; start it again"); stopped != nil {
		return stopped
	}
	return explainDatabase(ctx, pool, r.settings, "cannot replay", err)
}

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/relay/deadletter"
)

// deadRetry are the flags of the command.
type deadRetry struct {
	deadChange
	wait time.Duration
}

func newDeadRetryCommand(environ []string) *cobra.Command {
	var retry deadRetry
	cmd := &cobra.Command{
		Use:   "retry [ID...]",
		Short: "Puts dead letters back among the events to publish",
		Long: `Puts dead letters back into outbox.events, with the event id, the time and the place in the order that they had, and lets the
events of keys go on that they held. The relay publishes them.

A stream drops an event whose id it has seen within its duplicate window, and acknowledges it like any other. So the command
waits until the relay has settled the retried events, looks for them in the stream, and says which were stored and which were
dropped. An event that was dropped although the stream does not hold it becomes a dead letter again. Exit code 0 means that the
stream holds every one of them, or that --wait was 0. With two brokers that is the stream of the primary: what the relay gave to the
fallback meanwhile gets there when the relay uses the primary again, and is named.

Many are retried in chunks. Ctrl-C leaves whole chunks done, and the same command goes on.`,
		Example: `  outbox-relay dead retry 42 --note 'max_payload was raised'
  outbox-relay dead retry --reason refused --since 2h --dry-run`,
	}
	retry.addTo(cmd, "`why` they are retried")
	cmd.Flags().DurationVar(&retry.wait, "wait", 30*time.Second,
		"how long to wait for the relay while it settles none of them; 0 does not wait, nor look into the stream")
	load := sourceOf(cmd, environ, "postgres", "mq", "redis")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sel, err := retry.which.toChange(cmd, args)
		if err == nil && retry.wait < 0 {
			err = fmt.Errorf("--wait is %s, allowed: 0 (do not wait) or more", retry.wait)
		}
		if err != nil {
			return usageError(cmd, err)
		}
		return withDeadLetters(cmd, load, func(ctx context.Context, dead deadLetters) error {
			return retry.run(ctx, cmd, dead, sel)
		})
	}
	return cmd
}

func (r deadRetry) run(ctx context.Context, cmd *cobra.Command, dead deadLetters, sel deadletter.Selection) error {
	out := cmd.OutOrStdout()
	meant, err := dead.meant(ctx, sel)
	switch {
	case err != nil:
		return err
	case r.dryRun || meant.total == 0:
		return meant.preview(out, "retry")
	}
	view := openStreamView(ctx, dead)
	defer view.close()
	bar := newProgressBar(cmd.ErrOrStderr())
	done, err := dead.Retry(ctx, sel, r.trail, bar.counting("retry", meant.total))
	bar.clear()
	report := retryReport{Retries: done, view: view, out: out}
	report.begin()
	switch {
	case err != nil && ctx.Err() != nil:
		report.caveat()
		return interrupted("retried", len(done.Retried), meant.total)
	case err != nil:
		report.caveat()
		return dead.explain(ctx, "cannot retry the dead letters", err)
	case r.wait == 0:
		report.caveat()
		return both(report.refused(), meant.complete())
	}
	return r.follow(ctx, dead, &report, meant)
}

// follow finds out what becomes of the retried events.
func (r deadRetry) follow(ctx context.Context, dead deadLetters, report *retryReport, meant meantLetters) error {
	retried := report.Retried
	if err := dead.Await(ctx, retried, report.view.broker(), r.wait); err != nil {
		return dead.explain(ctx, "cannot see what becomes of the retried events", err)
	}
	if ctx.Err() != nil {
		report.caveat()
		return &failure{
			what: "interrupted: all of them are retried, but what becomes of them was not seen",
			next: "see outbox-relay status for what waits, and outbox-relay dead list for what is dead again",
		}
	}
	report.view.compare(ctx, retried)
	if err := dead.PutBack(ctx, retried, report.view.whyDropped()); err != nil {
		return dead.explain(ctx, "cannot put back what the stream dropped", err)
	}
	if err := dead.Record(ctx, retried); err != nil {
		return dead.explain(ctx, "cannot record what became of the retried events", err)
	}
	report.end(r.wait)
	return both(report.verdict(), meant.complete())
}

// streamView is the stream as the command sees it. It may be blind: the command does its work in Postgres nevertheless.
type streamView struct {
	ledger *ledger            // nil if there is none
	stream *deadletter.Stream // nil if it cannot be seen
	blind  string             // why it cannot be seen, or why it says nothing about some events
}

// openStreamView looks at the stream of the configured broker. A stream that is missing is not created.
func openStreamView(ctx context.Context, dead deadLetters) *streamView {
	view := &streamView{}
	var err error
	if view.ledger, err = openLedger(dead.settings); err == nil {
		view.stream, err = deadletter.Observe(ctx, view.ledger)
	}
	if err != nil {
		view.blind = err.Error()
	}
	return view
}

// broker returns the name of the stream's broker; empty if there is none.
func (v *streamView) broker() string {
	if v.ledger == nil {
		return ""
	}
	return v.ledger.publisher.Name()
}

// close gives the connection back.
func (v *streamView) close() {
	if v.ledger != nil {
		v.ledger.close()
	}
}

// compare looks into the stream for what the relay has settled.
func (v *streamView) compare(ctx context.Context, retried []deadletter.Retried) {
	if v.stream == nil {
		return
	}
	doubt, err := v.stream.Compare(ctx, retried)
	if err != nil {
		doubt = err.Error()
	}
	v.blind = doubt
}

// whyDropped is the error of a dead letter that the stream dropped.
func (v *streamView) whyDropped() string {
	if v.stream == nil {
		return ""
	}
	return fmt.Sprintf("the stream %q had seen the event id within its duplicate window of %s and dropped the event, which it does not hold",
		v.stream.Name(), v.stream.DuplicateWindow())
}

// retryReport tells a person what became of a retry.
type retryReport struct {
	deadletter.Retries
	view *streamView
	out  io.Writer
}

package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
)

// stopMargin is how much longer than relay.shutdown_timeout the process may live after it was told to stop: time to close
// connections that hang.
const stopMargin = 800 * time.Millisecond

func newRunCommand(environ []string) *cobra.Command {
	var migrate bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs the relay",
		Long: `Runs the relay until SIGTERM or SIGINT. It then settles what the broker has acknowledged, within relay.shutdown_timeout, and ends
with 0. A second signal ends it at once. SIGHUP is ignored: settings are read at the start.

The log goes to standard error. While nothing reads it there, publishing goes on and lines are dropped and counted. If its reader goes
away, the relay stops in the same way and ends with 1, so that a supervisor starts it again.

While Postgres or the broker is away the relay keeps trying, at the start too: it is not ready, and /readyz, status and the log
say why. It ends with 1 at the start only for what a person has to change: the password, a database that does not exist, the
schema, rights, certificates, or a stream that cannot take the events. Of several sources, one that cannot be served keeps none
of the others waiting and is tried again; the start fails when a person has to change something for every one of them.`,
		Args: noArguments,
	}
	cmd.Flags().BoolVar(&migrate, "migrate", false, "apply missing migrations first, as \"outbox-relay migrate up\" does")
	load := settingsOf(cmd, environ)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settings, err := load("postgres.url")
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE) // a pipe that breaks is an error of the write
		return run(cmd.Context(), settings, migrate, cmd.ErrOrStderr())
	}
	return cmd
}

// run runs one relay, logging to w, and returns nil after a clean stop.
func run(told context.Context, settings *config.Settings, migrate bool, w io.Writer) error {
	ctx, stop := context.WithCancel(told)
	defer stop()
	var logIsGone atomic.Bool
	sink := newLogSink(w, noticeOfDrops(settings.Config.Log.Format), func() {
		logIsGone.Store(true)
		stop()
	})
	defer sink.flush(flushTimeout)
	log, err := newLogger(settings.Config.Log, sink)
	if err != nil {
		return err
	}
	logStart(log, settings, leaveProcessors())
	if err := giveWay(); err != nil {
		log.Info("the relay may interrupt what runs beside it; it works nevertheless", zap.Error(err))
	}
	d := &daemon{settings: settings, log: log, logDropped: sink.dropped, migrate: migrate}
	err = within(ctx, longestStop(settings)+stopMargin, d.run)
	switch {
	case err != nil:
		return err
	case logIsGone.Load() && told.Err() == nil:
		return &failure{
			what: "stopped because the reader of the log has gone away (broken pipe on standard error)",
			next: "start the relay again; it has settled what the broker had acknowledged",
		}
	}
	log.Info("stopped")
	return nil
}

func logStart(log *zap.Logger, settings *config.Settings, processors int) {
	b := thisBuild()
	log.Info("outbox-relay starts", zap.String("version", b.Version), zap.String("commit", b.Commit),
		zap.Int64("schema", b.Schema), zap.String("config", settings.File), zap.Int("sources", len(settings.Sources())), zap.Int("gomaxprocs", processors))
}

// longestStop returns relay.shutdown_timeout, of several sources the longest.
func longestStop(settings *config.Settings) (longest time.Duration) {
	for _, source := range settings.Sources() {
		longest = max(longest, source.Config.Relay.ShutdownTimeout)
	}
	return longest
}

// within runs work, and gives it up when it has not returned limit after ctx ended. Something that hangs, such as a connection
// that is not given back, cannot keep the process alive then.
func within(ctx context.Context, limit time.Duration, work func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return &failure{
			what: fmt.Sprintf("did not stop within %s, and was ended", limit),
			next: "nothing is lost: what was not settled is published again, with the same ids; raise relay.shutdown_timeout if it recurs",
		}
	}
}

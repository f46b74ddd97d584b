//go:build demo

package main

import (
	"cmp"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo"
)

// newDemoCommand returns the demo. It carries a whole JetStream server, 10 MB beside 21 MB for the rest, so that only the build tag
// demo brings it in.
func newDemoCommand() *cobra.Command {
	o := demo.DefaultOptions()
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Plays a small game on servers of its own and accounts for every event",
		Long: `Starts a throw-away Postgres and an embedded JetStream server, runs the relay between them, plays a small game, and compares
every event that the game committed with what a client of the stream received.

Postgres is the server of --postgres-url, in which the demo creates a database and drops it in the end; else a server program
installed here; else a Docker container (image OUTBOX_TEST_POSTGRES_IMAGE, outbox-relay/postgres:17 or postgres:17).

With --redis-url, Redis stands in for JetStream in the outage: a client of Redis gets the events meanwhile, and JetStream gets them too
when it is back. The stream there has a name of its own and goes in the end. A server for it: docker run --rm -p 6379:6379 redis:8.0,
or the one of "make up".

Ctrl-C stops the game early, closes the account and removes everything. A second Ctrl-C ends the demo at once; then only a database
in the server of --postgres-url stays behind.

Exit codes: 0 if no event was lost, duplicated, out of order, or seen although it was rolled back, 1 otherwise, 2 wrong usage.`,
		Example: `  outbox-relay demo --outage
  outbox-relay demo --outage --redis-url redis://localhost:6379
  outbox-relay demo --duration 1m --rate 2000 --keep`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.Duration, "duration", o.Duration, "how long the game is played")
	flags.IntVar(&o.Rate, "rate", o.Rate, "`events` a second that the game commits")
	flags.BoolVar(&o.Outage, "outage", false, "stop the JetStream server for the second third of the game")
	flags.BoolVar(&o.Keep, "keep", false, "keep both servers until Ctrl-C, and say how to look at them")
	flags.StringVar(&o.PostgresURL, "postgres-url", "", "`url` of a Postgres server to use instead of starting one")
	flags.StringVar(&o.RedisURL, "redis-url", "", "`url` of a Redis server that stands in for JetStream in the outage")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.Validate(); err != nil {
			return usageError(cmd, err)
		}
		o.Out, o.Getenv = raw(cmd.OutOrStdout()), os.Getenv
		o.Terminal = drawsInPlace(o.Out, os.Getenv("TERM"))
		return explainDemo(demo.Run(cmd.Context(), o))
	}
	return cmd
}

// explainDemo gives the errors of the demo their next step.
func explainDemo(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, demo.ErrNoPostgres):
		return &failure{what: "the demo cannot start", cause: err, next: "install a Postgres server (Debian, Ubuntu: apt install postgresql; " +
			"macOS: brew install postgresql@17), or start Docker, or name a server with --postgres-url"}
	case errors.Is(err, demo.ErrUnbalanced):
		return &failure{what: "the demo failed", cause: err, next: "run it again with --keep and look at what is missing"}
	}
	return &failure{what: "the demo failed", cause: err}
}

// drawsInPlace tells whether w is a terminal that can draw in place; term is what the environment calls it.
func drawsInPlace(w io.Writer, term string) bool {
	return onTerminal(w) && cmp.Or(term, "dumb") != "dumb"
}

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// rivalCommand is the first argument by which this program becomes one of those that are measured.
const rivalCommand = "rival"

// readyLine is what such a program prints when it waits for events.
const readyLine = "rival: ready"

// The programs.
const (
	rivalWAL       = "wal"
	rivalTextbook  = "textbook"
	rivalWatermill = "watermill"
	rivalProfile   = "profile" // the relay itself, with a profile of its CPU
)

// rivalServers is what such a program is told.
type rivalServers struct{ postgres, nats, profile string }

func runRival(ctx context.Context, args []string) error {
	var s rivalServers
	flags := flag.NewFlagSet(rivalCommand, flag.ExitOnError)
	flags.StringVar(&s.postgres, "postgres", "", "URL of the database")
	flags.StringVar(&s.nats, "nats", "", "URL of the server")
	flags.StringVar(&s.profile, "profile", "", "file for the profile")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case rivalWAL:
		return walReader{}.run(ctx, s)
	case rivalTextbook:
		return textbook{}.run(ctx, s)
	case rivalWatermill:
		return watermillForwarder{}.run(ctx, s)
	case rivalProfile:
		return runProfiled(ctx, s)
	}
	return fmt.Errorf("there is no rival %q", flags.Arg(0))
}

func tellReady() { fmt.Fprintln(os.Stdout, readyLine) }

// connect returns a connection to each server.
func (s rivalServers) connect(ctx context.Context) (*pgx.Conn, natsjs.JetStream, error) {
	conn, err := pgx.Connect(ctx, s.postgres)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	nc, err := nats.Connect(s.nats)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := natsjs.New(nc, natsjs.WithPublishAsyncMaxPending(rawPending))
	return conn, js, err
}

// startRival starts this very program as one of those that are measured.
func (l *lab) startRival(ctx context.Context, name string, flags ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{rivalCommand, "-postgres", l.url, "-nats", l.o.nats}, flags...)
	return launch(ctx, exec.CommandContext(ctx, self, append(args, name)...), saidReady) //nolint:gosec // this very program
}

// Command bench measures the relay beside the limits of the machine it runs on: what the broker takes from a bare client, and what
// Postgres gives to a bare reader. All figures of one run come from the same servers, in turn, so their ratios hold where
// the figures themselves depend on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags of the command.
type options struct {
	postgres, nats string
	events, size   int
	passes         int
	rate           int
	lasting        time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.postgres, "postgres", os.Getenv("OUTBOX_BENCH_POSTGRES_URL"), "URL of a Postgres server; a database of its own is made in it")
	flag.StringVar(&o.nats, "nats", os.Getenv("OUTBOX_BENCH_NATS_URL"), "URL of a nats-server with JetStream; a stream of its own is made in it")
	flag.IntVar(&o.events, "events", 100_000, "events of one drain")
	flag.IntVar(&o.size, "size", 256, "bytes of a payload")
	flag.IntVar(&o.passes, "passes", 5, "how often each figure is measured; the median counts")
	flag.IntVar(&o.rate, "rate", 500, "events a second while the latency is measured")
	flag.DurationVar(&o.lasting, "lasting", 10*time.Second, "how long the latency is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.postgres == "" || o.nats == "" {
		return errors.New("no servers: run `make bench`, or name them with --postgres and --nats")
	}
	s, err := newStand(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	measures := []measure{
		{name: "raw publish, fast ingest", run: s.rawFast},
		{name: "raw publish, async", run: s.rawAsync},
		{name: "reading the rows", run: s.rawRead},
		{name: "reading and deleting the rows", run: s.rawReadDelete},
		{name: "relay, drain without retention", run: s.drainDeleting},
		{name: "relay, drain beside a snapshot", run: s.drainBesideSnapshot},
		{name: "relay, drain", run: s.drainDefault},
	}
	for pass := range o.passes {
		for i := range measures {
			rate, err := measures[i].run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", measures[i].name, err)
			}
			measures[i].rates = append(measures[i].rates, rate)
			fmt.Fprintf(os.Stderr, "pass %d/%d  %-30s %9.0f events/s\n", pass+1, o.passes, measures[i].name, rate)
		}
	}
	l, err := s.latency(ctx)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	idle, err := s.idle(ctx)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	report(os.Stdout, o, measures, s.cpu, l, idle)
	return nil
}

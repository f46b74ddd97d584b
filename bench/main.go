// Command bench measures the relay beside the limits of the machine it runs on, and beside others that do the same job: how fast a backlog
// drains, how late an event is, what a business transaction pays, and what all of it costs as the work grows.
//
// All figures of one run come from the same servers, and the cases of a scenario are measured in turn, pass after pass, so that their
// ratios hold where the figures themselves depend on the machine. docs/BENCHMARKS.md explains how to read them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags of the command.
type options struct {
	postgres, nats, redis, redisIDMP string
	relay                            string
	only                             string
	cases                            string
	passes                           int
	quick                            bool
	within                           time.Duration
	json, plots, doc                 string
	profile                          string
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.postgres, "postgres", os.Getenv("OUTBOX_BENCH_POSTGRES_URL"), "URL of a Postgres server with wal_level=logical; a database of its own is made in it")
	flags.StringVar(&o.nats, "nats", os.Getenv("OUTBOX_BENCH_NATS_URL"), "URL of a nats-server 2.14 or newer with JetStream; a stream of its own is made in it")
	flags.StringVar(&o.redis, "redis", os.Getenv("OUTBOX_BENCH_REDIS_URL"), "URL of a Redis without XADD IDMP, older than 8.6; empty leaves it out")
	flags.StringVar(&o.redisIDMP, "redis-idmp", os.Getenv("OUTBOX_BENCH_REDIS_IDMP_URL"), "URL of a Redis 8.6 or newer; empty leaves it out")
	flags.StringVar(&o.relay, "relay", os.Getenv("OUTBOX_BENCH_RELAY"), "the program outbox-relay")
	flags.StringVar(&o.only, "only", "", "scenarios to measure, separated by commas: "+strings.Join(scenarioNames(), ", ")+"; empty means all")
	flags.StringVar(&o.cases, "cases", "", "a regular expression: cases whose name it does not match are left out")
	flags.IntVar(&o.passes, "passes", 0, "how often each case is measured; the median counts; 0 means as often as the scenario wants")
	flags.BoolVar(&o.quick, "quick", false, "small backlogs, few passes and the main cases alone: under 3 minutes")
	flags.DurationVar(&o.within, "within", 29*time.Minute, "passes that would end later are left out")
	flags.StringVar(&o.json, "json", "", "file for all values")
	flags.StringVar(&o.plots, "plots", "", "folder for the plots, as SVG")
	flags.StringVar(&o.doc, "doc", "", "file of Markdown whose part between two marks is replaced by the tables")
	flags.StringVar(&o.profile, "profile", "", "measure nothing: drain once with the relay's CPU profile written to this file")
}

// check says what is missing before anything is measured.
func (o *options) check() error {
	switch {
	case o.postgres == "" || o.nats == "":
		return errors.New("no servers: run `make bench`, or name them with -postgres and -nats")
	case o.relay == "":
		return errors.New("no relay to measure: run `make bench`, or name the program with -relay (`make build` puts it into bin/outbox-relay)")
	}
	if _, err := regexp.Compile(o.cases); err != nil {
		return fmt.Errorf("-cases: %w", err)
	}
	for _, name := range o.chosen() {
		if !slices.Contains(scenarioNames(), name) {
			return fmt.Errorf("-only names %q, which is none of %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return nil
}

// chosen returns the names of the scenarios to measure.
func (o *options) chosen() []string {
	if o.only == "" {
		return scenarioNames()
	}
	return strings.Split(o.only, ",")
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command measures, or is one of the programs that are measured: those run as processes of their own, so that the CPU time of each is
// known.
func command(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == rivalCommand {
		return runRival(ctx, args[1:])
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	o.register(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	if o.profile != "" {
		return l.profileDrain(ctx, o.profile)
	}
	return measureAll(ctx, l, o)
}

func measureAll(ctx context.Context, l *lab, o options) error {
	if share := l.busy(ctx); share > quietShare {
		fmt.Fprintf(os.Stderr, "bench: other programs use %.0f%% of this machine; end them, or trust no figure\n", 100*share)
	}
	began, others := time.Now(), l.watchOthers()
	r := newResults()
	until := began.Add(o.within)
	wanted := regexp.MustCompile(o.cases) // checked before
	var measured []scenario
	for _, s := range scenarios(l) {
		if !slices.Contains(o.chosen(), s.name) {
			continue
		}
		if o.passes > 0 {
			s.passes = o.passes
		}
		s.cases = slices.DeleteFunc(s.cases, func(c testCase) bool { return !wanted.MatchString(c.name) })
		s.measure(ctx, r, until, os.Stderr)
		measured = append(measured, s)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted in %s: nothing is reported", s.name)
		}
	}
	about, err := l.describe(ctx)
	if err != nil {
		return err
	}
	about.Others = others.share()
	about.Took = time.Since(began).Round(time.Second).String()
	return errors.Join(publish(o, about, measured, r), r.failure())
}

// publish writes the tables, the values and the plots to where they are wanted.
func publish(o options, about machine, measured []scenario, r *results) error {
	text := report(about, measured, r)
	fmt.Fprint(os.Stdout, text)
	return errors.Join(
		writeDoc(o.doc, text),
		writeJSON(o.json, about, r),
		writePlots(o.plots, measured, r),
	)
}

// scenarios returns everything that can be measured, in the order in which it is.
func scenarios(l *lab) []scenario {
	return []scenario{
		l.drainScenario(), l.redisScenario(), l.latencyScenario(), l.transactionScenario(), l.footprintScenario(),
		l.payloadScenario(), l.keyScenario(), l.backlogScenario(),
	}
}

// scenarioNames are the names of scenarios, as -only takes them.
func scenarioNames() []string {
	return []string{"drain", "redis", "latency", "transaction", "footprint", "payload", "keys", "backlog"}
}

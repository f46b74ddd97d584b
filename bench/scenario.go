package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"
)

// scenario is a set of cases that are measured in turn: every case once, then every case again, so that whatever else the machine
// does meets all of them alike.
type scenario struct {
	name    string // for -only
	title   string
	about   string // what is measured, in a sentence or two
	passes  int
	columns []column
	cases   []testCase
	plots   []plotting
}

// testCase is one row of a scenario's table.
type testCase struct {
	name string
	run  func(context.Context) (sample, error)
	// passes is in how many it takes part, the last ones; 0 means all.
	passes int
	// needs is how long one pass takes that is only begun if there is so much time left.
	needs time.Duration
	// against is the case with which its first column is compared; empty for none.
	against string
}

// column is a value that cases have.
type column struct {
	name, unit string
	digits     int // behind the point
}

// The columns that several scenarios have.
var (
	drained  = column{name: "drained", unit: "events/s"}
	stored   = column{name: "first to last stored", unit: "events/s"}
	waiting  = column{name: "until the first is stored", unit: "ms"}
	settling = column{name: "from the last to all settled", unit: "ms"}
	ownCPU   = column{name: "CPU", unit: "µs/event", digits: 1}
	postgres = column{name: "Postgres CPU", unit: "µs/event", digits: 1}
	broker   = column{name: "broker CPU", unit: "µs/event", digits: 1}
	allCPU   = column{name: "all CPU", unit: "µs/event", digits: 1}
	// brokerWait is for how long threads of the broker had work and waited for a core.
	brokerWait = column{name: "broker waits for a core", unit: "µs/event", digits: 1}
	costs      = []column{ownCPU, postgres, broker, allCPU, brokerWait}
	drainCols  = append([]column{drained, stored, waiting, settling}, costs...)
)

// sample is what a case measured in one pass, by the name of the column.
type sample map[string]float64

// measure runs the passes. A case that fails is noted and does not hold up the others.
func (s *scenario) measure(ctx context.Context, r *results, until time.Time, log io.Writer) {
	for pass := range s.passes {
		began := time.Now()
		for i := range s.cases {
			c := &s.cases[i]
			if ctx.Err() != nil || c.passes > 0 && pass < s.passes-c.passes {
				continue
			}
			if time.Now().Add(c.needs).After(until) {
				fmt.Fprintf(log, "%s: no time is left for pass %d of %q\n", s.name, pass+1, c.name)
				continue
			}
			s.measureCase(ctx, c, pass, r, log)
		}
		if pass+1 < s.passes && time.Now().Add(time.Since(began)).After(until) {
			fmt.Fprintf(log, "%s: no time is left for more than %d of %d passes\n", s.name, pass+1, s.passes)
			return
		}
	}
}

func (s *scenario) measureCase(ctx context.Context, c *testCase, pass int, r *results, log io.Writer) {
	runtime.GC() // this program's garbage is not the next case's matter
	began := time.Now()
	values, err := c.run(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.fail(fmt.Errorf("%s, %s, pass %d: %w", s.name, c.name, pass+1, err))
			fmt.Fprintf(log, "%s %d/%d  %s: FAILED: %v\n", s.name, pass+1, s.passes, c.name, err)
		}
		return
	}
	r.add(s, c.name, values)
	fmt.Fprintf(log, "%s %d/%d  %-44s", s.name, pass+1, s.passes, c.name)
	for _, col := range s.columns {
		if v, ok := values[col.name]; ok {
			fmt.Fprintf(log, "  %s %.*f", col.name, col.digits, v)
		}
	}
	fmt.Fprintf(log, "  (%.1f s)\n", time.Since(began).Seconds())
}

// merge returns the values of several samples as one.
func merge(samples ...sample) sample {
	all := sample{}
	for _, each := range samples {
		maps.Copy(all, each)
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// pick returns the first of two values in a whole run, and the second in a quick one.
func pick[T any](quick bool, whole, small T) T {
	if quick {
		return small
	}
	return whole
}

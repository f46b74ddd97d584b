package main

import "context"

// drainSize is the payload of the events whose figures are compared.
const drainSize = 256

// drainScenario compares the drain of a backlog with the limits of this machine, and with others that do the same job.
func (l *lab) drainScenario() scenario {
	events := pick(l.o.quick, 300_000, 100_000)
	slow := pick(l.o.quick, 50_000, 10_000) // for those that would take minutes
	all, few := newWorkload(events, drainSize, manyKeys), newWorkload(slow, drainSize, manyKeys)
	s := scenario{
		name: "drain", title: "Drain of a backlog", passes: pick(l.o.quick, 5, 2), columns: drainCols,
		about: countOf(events) + " events of 256 B with 1,000 keys appear in one commit while the program waits for events; the time ends when all are stored " +
			"and written back. Raw: the same messages, with ids, out of nothing. Programs marked with * drain " + countOf(slow) + ".",
		cases: []testCase{
			{name: drainLimit, run: func(ctx context.Context) (sample, error) { return l.rawFast(ctx, all) }},
			{name: "raw: async publish, 4,096 pending", against: drainLimit, run: func(ctx context.Context) (sample, error) { return l.rawAsync(ctx, all) }},
			{name: "raw: fast ingest of the rows", against: drainLimit, run: func(ctx context.Context) (sample, error) { return l.rawRows(ctx, all) }},
			{name: drainRows, against: drainLimit, run: func(ctx context.Context) (sample, error) { return l.rawRead(ctx, all) }},
			l.drainCase(relayRetaining, all),
			l.drainCase(relayDeleting, all),
			l.drainCase(walReader{}, all),
			l.drainCase(textbook{}, few),
			l.drainCase(watermillForwarder{}, few),
		},
	}
	for i := len(s.cases) - 2; i < len(s.cases); i++ {
		s.cases[i].name, s.cases[i].passes = s.cases[i].name+" *", 3
	}
	plot := bars("drain.svg", "Drain of "+countOf(events)+" events of 256 B, events/s", drained)
	plot.without = drainRows
	s.plots = []plotting{plot}
	return s
}

// The relay as it is installed, and without retention.
var (
	relayRetaining = &theRelay{label: "relay, retention 5 minutes", retention: defaultRetention}
	relayDeleting  = &theRelay{label: "relay, retention 0"}
)

const (
	drainLimit = "raw: fast ingest" // what the others are compared with
	drainRows  = "raw: reading the rows"
)

func (l *lab) drainCase(c contender, w workload) testCase {
	return testCase{name: c.name(), against: drainLimit, run: func(ctx context.Context) (sample, error) { return l.drain(ctx, c, w, nil) }}
}

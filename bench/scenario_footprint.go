package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

var (
	peak          = column{name: "peak memory", unit: "MiB", digits: 1}
	idleCPU       = column{name: "idle CPU", unit: "% of a core", digits: 2}
	idlePostgres  = column{name: "idle Postgres CPU", unit: "% of a core", digits: 2}
	toPostgres    = column{name: "to Postgres", unit: "connections"}
	toNATS        = column{name: "to NATS", unit: "connections"}
	footprintCols = append([]column{peak, idleCPU, idlePostgres, toPostgres, toNATS, drained}, costs...)
)

// The cases, which the goals refer to.
const (
	footprintDrain = "drain of 1 KiB payloads"
	footprintIdle  = "nothing to do"
)

// footprintScenario measures what the relay's process takes.
func (l *lab) footprintScenario() scenario {
	events := pick(l.o.quick, 1_000_000, 100_000)
	lasting := pick(l.o.quick, 30*time.Second, 5*time.Second)
	w := newWorkload(events, 1024, manyKeys)
	return scenario{
		name: "footprint", title: "What the relay's process takes", passes: 1, columns: footprintCols,
		about: fmt.Sprintf("The program with its default configuration. Peak memory is the most that it had at once (VmHWM) in a drain of %s events of 1 KiB. "+
			"Nothing to do: %s with no event and no client.", countOf(events), lasting),
		cases: []testCase{
			{name: footprintDrain, run: func(ctx context.Context) (sample, error) {
				return l.drain(ctx, relayRetaining, w, func(p *process) (sample, error) { return l.footprint(p) })
			}},
			{name: footprintIdle, run: func(ctx context.Context) (sample, error) { return l.idle(ctx, lasting) }},
		},
	}
}

// footprint is what a process has now. What cannot be known on this system is missing.
func (l *lab) footprint(p *process) (sample, error) {
	s := sample{}
	if bytes, err := peakMemory(p.pid()); err == nil {
		s[peak.name] = float64(bytes) / (1 << 20)
	}
	for column, server := range map[string]string{toPostgres.name: l.o.postgres, toNATS.name: l.o.nats} {
		port, err := portOf(server)
		if err != nil {
			return nil, err
		}
		if n, err := connections(p.pid(), port); err == nil {
			s[column] = float64(n)
		}
	}
	return s, nil
}

func portOf(server string) (int, error) {
	address, err := url.Parse(server)
	if err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		return 0, fmt.Errorf("%s: the URL must name a port", address.Redacted())
	}
	return port, nil
}

// idle measures a relay without work.
func (l *lab) idle(ctx context.Context, lasting time.Duration) (values sample, err error) {
	if err := relayRetaining.empty(ctx, l); err != nil {
		return nil, err
	}
	if _, err := l.freshStream(ctx); err != nil {
		return nil, err
	}
	p, err := relayRetaining.start(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	const starting = 3 * time.Second // the start is not idle
	if !sleep(ctx, starting) {
		return nil, ctx.Err()
	}
	before, began := l.usageOf(p.pid(), l.natsPID), time.Now()
	if !sleep(ctx, lasting) {
		return nil, ctx.Err()
	}
	after, lasted := l.usageOf(p.pid(), l.natsPID), time.Since(began)
	share := func(name string) float64 { return 100 * (after[name] - before[name]).Seconds() / lasted.Seconds() }
	has, err := l.footprint(p)
	return merge(has, sample{idleCPU.name: share(ownCPU.name), idlePostgres.name: share(postgres.name)}), err
}

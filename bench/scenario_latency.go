package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	p50  = column{name: "p50", unit: "ms", digits: 2}
	p99  = column{name: "p99", unit: "ms", digits: 2}
	p999 = column{name: "p99.9", unit: "ms", digits: 2}
)

const (
	// commitsMax is the most commits a second of the latency measurement. At higher rates a transaction writes several
	// events, for one core cannot commit 20,000 times a second beside what is measured.
	commitsMax = 500
	committers = 6 // connections that commit
	// warmUp is for how long events are committed before those that count.
	warmUp = time.Second
)

// latencyRates are the rates of the measurement, in events a second.
var latencyRates = []int{50, 500, 5_000, 20_000}

// latencyScenario measures how long after its commit an event is stored.
func (l *lab) latencyScenario() scenario {
	lasting := pick(l.o.quick, 6*time.Second, 3*time.Second)
	s := scenario{
		name: "latency", title: "From commit to stored", passes: pick(l.o.quick, 3, 1), columns: []column{p50, p99, p999, ownCPU, postgres, broker},
		about: fmt.Sprintf("From the return of COMMIT to the broker's own time of storing, on one clock, %s for each rate. Up to %d events/s each transaction writes "+
			"one event; 5,000 and 20,000 events/s are %d transactions/s of 10 and 40. Negative: stored before COMMIT had returned.", lasting, commitsMax, commitsMax),
	}
	rates := pick(l.o.quick, latencyRates, []int{500, 5_000})
	for _, rate := range rates {
		reader := latencyCase(walReader{}, rate)
		s.cases = append(s.cases, l.latencyTest(relayRetaining, rate, lasting, reader), l.latencyTest(walReader{}, rate, lasting, ""))
		if rate == 500 && !l.o.quick {
			for _, rival := range []contender{textbook{}, watermillForwarder{}} {
				test := l.latencyTest(rival, rate, lasting, reader)
				test.passes = 1
				s.cases = append(s.cases, test)
			}
		}
	}
	s.plots = []plotting{{
		file: "latency.svg", title: "Commit to stored, ms", x: "events/s", logX: true, logY: true, metric: p50, also: p99,
		lines: []line{latencyLine("relay", relayRetaining, rates), latencyLine("WAL reader", walReader{}, rates)},
	}}
	return s
}

func latencyCase(c contender, rate int) string { return countOf(rate) + " events/s: " + c.name() }

func latencyLine(label string, c contender, rates []int) line {
	found := line{label: label}
	for _, rate := range rates {
		found.points = append(found.points, point{x: float64(rate), name: latencyCase(c, rate)})
	}
	return found
}

func (l *lab) latencyTest(c contender, rate int, lasting time.Duration, against string) testCase {
	return testCase{name: latencyCase(c, rate), against: against, run: func(ctx context.Context) (sample, error) {
		return l.latency(ctx, c, rate, lasting)
	}}
}

// latency commits events at a steady rate, and asks the stream when it stored them.
func (l *lab) latency(ctx context.Context, c contender, rate int, lasting time.Duration) (values sample, err error) {
	if err := c.empty(ctx, l); err != nil {
		return nil, fmt.Errorf("empty the table: %w", err)
	}
	stream, err := l.freshStream(ctx)
	if err != nil {
		return nil, err
	}
	p, err := c.start(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := l.checkpoint(ctx); err != nil {
		return nil, err
	}
	keys := keying{count: manyKeys.count, writers: committers, turn: max(1, rate/commitsMax)}
	w := newWorkload(rate*int((warmUp+lasting)/time.Second), drainSize, keys)
	before := l.usageOf(p.pid(), l.natsPID)
	committed, err := l.commitSteadily(ctx, c, w, rate)
	if err != nil {
		return nil, err
	}
	used := l.usageOf(p.pid(), l.natsPID).perEvent(before, w.events)
	if err := waitStored(ctx, p, w.events, storedIn(stream)); err != nil {
		return nil, err
	}
	times, err := prove(ctx, stream, w)
	if err != nil {
		return nil, err
	}
	return merge(used, quantiles(committed, times, rate*int(warmUp/time.Second))), nil
}

// commitSteadily returns when the commit of each event returned, by number.
func (l *lab) commitSteadily(ctx context.Context, c contender, w workload, rate int) ([]time.Time, error) {
	each := w.keys.turn // events of a transaction
	committed := make([]time.Time, w.events)
	var turns [committers]chan int
	group, failed := sync.WaitGroup{}, make(chan error, committers)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range turns {
		turns[i] = make(chan int, w.events)
		group.Go(func() {
			for first := range turns[i] {
				if err := l.commit(ctx, c, w, first, each, committed); err != nil {
					failed <- err
					cancel()
					return
				}
			}
		})
	}
	tick := time.NewTicker(time.Second * time.Duration(each) / time.Duration(rate))
	defer tick.Stop()
	for first := 0; first < w.events && ctx.Err() == nil; first += each {
		<-tick.C
		turns[first/each%committers] <- first
	}
	for i := range turns {
		close(turns[i])
	}
	group.Wait()
	select {
	case err := <-failed:
		return nil, fmt.Errorf("commit events: %w", err)
	default:
		return committed, ctx.Err()
	}
}

// commit commits some events and notes when that was.
func (l *lab) commit(ctx context.Context, c contender, w workload, first, count int, committed []time.Time) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return insert(ctx, tx, c, w, first, count) })
	now := time.Now()
	for i := range count {
		committed[first+i] = now
	}
	return err
}

// quantiles are those of the time between commit and storing, without the first skip events.
func quantiles(committed, stored []time.Time, skip int) sample {
	all := make([]float64, 0, len(stored)-skip)
	for i := skip; i < len(stored); i++ {
		all = append(all, stored[i].Sub(committed[i]).Seconds()*1000)
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[max(0, int(math.Ceil(q*float64(len(all))))-1)] }
	return sample{p50.name: at(0.5), p99.name: at(0.99), p999.name: at(0.999)}
}

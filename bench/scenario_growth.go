package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// payloadScenario measures the drain of small and of large events.
func (l *lab) payloadScenario() scenario {
	s := scenario{
		name: "payload", title: "As payloads grow", passes: pick(l.o.quick, 2, 1), columns: drainCols,
		about: "Random bytes, which nothing can compress; 100,000 events, but at most 256 MiB. Each beside raw fast ingest of the same messages.",
	}
	fast, ours := line{label: "raw fast ingest"}, line{label: "relay"}
	for _, size := range pick(l.o.quick, []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10}, []int{64, 16 << 10}) {
		w := newWorkload(min(100_000, pick(l.o.quick, 256, 64)<<20/size), size, manyKeys)
		limit, name := sizeOf(size)+": raw fast ingest", sizeOf(size)+": relay"
		s.cases = append(s.cases,
			testCase{name: limit, run: func(ctx context.Context) (sample, error) { return l.rawFast(ctx, w) }},
			testCase{name: name, against: limit, run: func(ctx context.Context) (sample, error) { return l.drain(ctx, relayRetaining, w, nil) }},
		)
		fast.points = append(fast.points, point{x: float64(size), name: limit})
		ours.points = append(ours.points, point{x: float64(size), name: name})
	}
	s.plots = []plotting{{file: "payload.svg", title: "Drain, events/s", x: "bytes of a payload", logX: true, logY: true, metric: drained, lines: []line{fast, ours}}}
	return s
}

// keyScenario measures the drain with few keys and with many.
func (l *lab) keyScenario() scenario {
	events := pick(l.o.quick, 200_000, 50_000)
	s := scenario{
		name: "keys", title: "With few keys and with many", passes: pick(l.o.quick, 2, 1), columns: drainCols,
		about: countOf(events) + " events of 256 B. The key is a part of the subject, so a million keys are a million subjects, up to the number of events. One hot key: it has every other event.",
	}
	for _, each := range []struct {
		name string
		keys keying
	}{
		{"1 key", keying{count: 1}}, {"1,000 keys", manyKeys}, {"1,000,000 keys", keying{count: 1_000_000}}, {"one hot key, 1,000 others", keying{count: 1000, hot: true}},
	} {
		w := newWorkload(events, drainSize, each.keys)
		limit := each.name + ": raw fast ingest"
		s.cases = append(s.cases,
			testCase{name: limit, run: func(ctx context.Context) (sample, error) { return l.rawFast(ctx, w) }},
			testCase{name: each.name + ": relay", against: limit, run: func(ctx context.Context) (sample, error) { return l.drain(ctx, relayRetaining, w, nil) }},
		)
	}
	return s
}

// The cases of the backlog scenario that the goals refer to.
const (
	backlogOf100k = "100,000 events"
	backlogOf10M  = "10,000,000 events"
)

// backlogScenario measures the drain of small and of large backlogs, and of one whose dead rows cannot be removed. The largest come last,
// once, if there is time for them.
func (l *lab) backlogScenario() scenario {
	of := func(events int) func(context.Context) (sample, error) {
		w := newWorkload(events, drainSize, manyKeys)
		return func(ctx context.Context) (sample, error) { return l.drain(ctx, relayRetaining, w, nil) }
	}
	limit := func(events int) func(context.Context) (sample, error) {
		w := newWorkload(events, drainSize, manyKeys)
		return func(ctx context.Context) (sample, error) { return l.rawFast(ctx, w) }
	}
	rawOf := func(events int) string { return countOf(events) + " events: raw fast ingest" }
	s := scenario{
		name: "backlog", title: "As the backlog grows", passes: pick(l.o.quick, 3, 1), columns: drainCols,
		about: "Events of 256 B with 1,000 keys, retention 5 minutes. After others: 200,000 events were published and removed before. Old snapshot: a transaction is " +
			"open since before the first of those, so that vacuum can clean up none of their rows. The two largest are drained once.",
		cases: []testCase{
			{name: "10,000 events", against: backlogOf100k, run: of(10_000)},
			{name: backlogOf100k, run: of(100_000)},
			{name: rawOf(100_000), against: backlogOf100k, run: limit(100_000)},
		},
	}
	for _, each := range pick(l.o.quick, afterOthers, afterOthers[:2]) {
		s.cases = append(s.cases, testCase{name: each.name, against: each.against, run: func(ctx context.Context) (sample, error) {
			return l.drainAfterOthers(ctx, each)
		}})
	}
	ours := line{label: "relay", points: []point{{10_000, "10,000 events"}, {100_000, backlogOf100k}}}
	fast := line{label: "raw fast ingest", points: []point{{100_000, rawOf(100_000)}}}
	if !l.o.quick {
		for _, each := range []struct {
			events int
			needs  time.Duration
		}{{1_000_000, time.Minute}, {10_000_000, 5 * time.Minute}} {
			name, raw := countOf(each.events)+" events", rawOf(each.events)
			s.cases = append(s.cases,
				testCase{name: name, against: backlogOf100k, passes: 1, needs: each.needs, run: of(each.events)},
				testCase{name: raw, against: backlogOf100k, passes: 1, needs: each.needs / 2, run: limit(each.events)},
			)
			ours.points, fast.points = append(ours.points, point{float64(each.events), name}), append(fast.points, point{float64(each.events), raw})
		}
	}
	s.plots = []plotting{{file: "backlog.svg", title: "Drain, events/s", x: "events that wait", logX: true, metric: drained, lines: []line{fast, ours}}}
	return s
}

// othersBefore is how many events are published and removed before those that are measured.
const othersBefore = 200_000

// afterwards is a drain after others, with or without a transaction that has been open since before all of them.
type afterwards struct {
	name, against string
	c             *theRelay
	snapshot      bool
	anew          bool // the relay is started again before it is measured
}

// The cases that the goals refer to.
const (
	backlogAfter = "100,000 events, after others"
	backlogHeld  = "100,000 events, after others, beside an old snapshot"
)

var afterOthers = []afterwards{
	{name: backlogAfter, c: relayRetaining},
	{name: backlogHeld, against: backlogAfter, c: relayRetaining, snapshot: true},
	{name: backlogHeld + ", relay started anew", against: backlogAfter, c: relayRetaining, snapshot: true, anew: true},
	{name: backlogHeld + ", retention 0, relay started anew", against: backlogAfter, c: relayDeleting, snapshot: true, anew: true},
}

// drainAfterOthers drains a backlog after many events were published and removed.
func (l *lab) drainAfterOthers(ctx context.Context, kind afterwards) (values sample, err error) {
	d := &drainage{l: l, c: kind.c, w: newWorkload(othersBefore+100_000, drainSize, manyKeys)}
	if err := d.begin(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.p.stop()) }()
	conn, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // ends the transaction
	if kind.snapshot {
		if _, err := conn.Exec(ctx, "begin isolation level repeatable read read only; select count(*) from pg_class"); err != nil {
			return nil, fmt.Errorf("take a snapshot: %w", err)
		}
	}
	if err := d.leaveDeadRows(ctx); err != nil {
		return nil, fmt.Errorf("leave dead rows: %w", err)
	}
	if kind.anew {
		if err := d.p.stop(); err != nil {
			return nil, err
		}
		if d.p, err = kind.c.start(ctx, l); err != nil {
			return nil, err
		}
	}
	values, err = d.timed(ctx, othersBefore)
	if err != nil {
		return nil, err
	}
	proved, err := d.prove(ctx, othersBefore)
	return merge(values, proved), err
}

// leaveDeadRows publishes events and removes what is left of them as the relay's purge does after the retention: all but the last receipt
// and its rows.
func (d *drainage) leaveDeadRows(ctx context.Context) error {
	start, err := d.l.release(ctx, d.c, d.w, 0, othersBefore, func() usage { return nil })
	if err != nil {
		return err
	}
	if err := d.await(ctx, othersBefore, start.end); err != nil {
		return err
	}
	_, err = d.l.pool.Exec(ctx, `with kept as (select id, lower(ids) as first_id from outbox.receipts order by id desc limit 1),
		receipts as (delete from outbox.receipts using kept where receipts.id < kept.id)
		delete from outbox.events using kept where events.id < kept.first_id`)
	return err
}

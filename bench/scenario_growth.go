package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// payloadScenario measures the drain of small and of large events.
func (l *lab) payloadScenario() scenario {
	s := scenario{
		name: "payload", title: "As payloads grow", passes: pick(l.o.quick, 3, 1), columns: drainCols,
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
		name: "keys", title: "With few keys and with many", passes: pick(l.o.quick, 3, 1), columns: drainCols,
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
	backlogHeld   = "100,000 events, beside an old snapshot"
)

// backlogScenario measures the drain of small and of large backlogs, and of one whose dead rows cannot be removed. The largest comes last,
// once, if there is time for it.
func (l *lab) backlogScenario() scenario {
	of := func(events int) func(context.Context) (sample, error) {
		w := newWorkload(events, drainSize, manyKeys)
		return func(ctx context.Context) (sample, error) { return l.drain(ctx, relayRetaining, w, nil) }
	}
	held := newWorkload(100_000, drainSize, manyKeys)
	s := scenario{
		name: "backlog", title: "As the backlog grows", passes: pick(l.o.quick, 5, 1), columns: drainCols,
		about: "Events of 256 B with 1,000 keys, retention 5 minutes. Old snapshot: a transaction that has been open since before 200,000 events were published " +
			"and removed, so that vacuum can clean up nothing. The largest backlog is drained once.",
		cases: []testCase{
			{name: "10,000 events", against: backlogOf100k, run: of(10_000)},
			{name: backlogOf100k, run: of(100_000)},
			{name: backlogHeld, against: backlogOf100k, run: func(ctx context.Context) (sample, error) { return l.drainBesideSnapshot(ctx, held) }},
		},
	}
	ours := line{label: "relay", points: []point{{10_000, "10,000 events"}, {100_000, backlogOf100k}}}
	if !l.o.quick {
		s.cases = append(s.cases,
			testCase{name: "1,000,000 events", against: backlogOf100k, passes: 2, run: of(1_000_000)},
			testCase{name: backlogOf10M, against: backlogOf100k, passes: 1, needs: 6 * time.Minute, run: of(10_000_000)},
		)
		ours.points = append(ours.points, point{1_000_000, "1,000,000 events"}, point{10_000_000, backlogOf10M})
	}
	s.plots = []plotting{{file: "backlog.svg", title: "Drain, events/s", x: "events that wait", logX: true, metric: drained, lines: []line{ours}}}
	return s
}

// drainBesideSnapshot is drain while a transaction holds a snapshot from before the first event, and after as many dead rows as two
// such backlogs leave.
func (l *lab) drainBesideSnapshot(ctx context.Context, w workload) (values sample, err error) {
	conn, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // ends the transaction
	if err := relayDeleting.empty(ctx, l); err != nil {
		return nil, err
	}
	holding := &snapshotHolder{theRelay: *relayRetaining}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return values, pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select count(*) from pg_class"); err != nil { // takes the snapshot
			return err
		}
		for range 2 {
			if err := l.leaveDeadRows(ctx, w); err != nil {
				return fmt.Errorf("leave dead rows: %w", err)
			}
		}
		values, err = l.drain(ctx, holding, w, nil)
		return err
	})
}

// leaveDeadRows writes events and removes them.
func (l *lab) leaveDeadRows(ctx context.Context, w workload) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return insert(ctx, tx, relayRetaining, w, 0, w.events) })
	if err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, "delete from outbox.events")
	return err
}

// snapshotHolder is a relay whose table keeps the dead rows that are in it.
type snapshotHolder struct{ theRelay }

func (*snapshotHolder) empty(ctx context.Context, l *lab) error {
	_, err := l.pool.Exec(ctx, "delete from outbox.events; delete from outbox.receipts; delete from outbox.positions")
	return err
}

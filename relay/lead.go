package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// pingInterval is how often a session is proved that has nothing to read because the broker takes nothing.
	pingInterval = 5 * time.Second
	// readPauseMin is the pause after a look that found nothing, while it is busy. Later the pause is one part in
	// quietParts of the time since the last event, up to Config.PollInterval: so an event waits for the reader at most
	// that part of the quiet time before it, and a quiet table is hardly looked at.
	readPauseMin = time.Millisecond
	quietParts   = 8
	// sweepShare bounds what the safety sweep costs: it takes at most one part in so many of the time.
	sweepShare = 100
)

// lead waits until this relay has the lease, and publishes under it until ctx ends, another relay has the lease or a session fails.
// Nothing carries over from one call to the next: the table says what is still to publish.
func (r *Relay) lead(ctx context.Context, until deadlines) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	term, err := r.standBy(ctx, conn)
	if err != nil {
		hangUp(until, conn)
		return err
	}
	r.track.databaseWorks(leading)
	r.track.enter(StateLeading)
	if r.share != nil {
		r.share.began(r)
		defer r.share.ended(r)
	}

	led, stopLeading := context.WithCancelCause(ctx)
	publishing, stopPublishing := context.WithCancelCause(r.tenancy.fence.guard(until.publish))
	lose := func(err error) {
		r.track.leaseLost(err)
		stopLeading(err)
		stopPublishing(err)
	}
	keeping, stopKeeping := context.WithCancel(until.settle) // a lease is kept until what was acknowledged is settled
	successor := ""                                          // the relay that is to have the lease next; empty for any
	renewed := func(conn *pgxpool.Conn) {
		if to, err := r.offer(keeping, conn, term); err == nil && to != "" {
			successor = to
			stopLeading(errGiven)
		}
	}
	giveUp := func(loop string, limit time.Duration) {
		stopKeeping() // the lease expires, and what hangs may send nothing any more
		stopPublishing(errStalled)
		stopLeading(stalledError(loop, limit))
		r.track.loopStalled(loop, limit)
	}
	r.loops = newLoops()
	var watching sync.WaitGroup
	guard := func(work func()) {
		watching.Go(func() {
			if err := contained(func() error { work(); return nil }); err != nil {
				stopPublishing(err)
				stopLeading(err)
			}
		})
	}
	guard(func() { r.tenancy.keep(keeping, conn, term, r.loops.renew, renewed, lose) })
	guard(func() { r.loops.watch(keeping, watchInterval, giveUp) })
	guard(func() { r.watchHidden(keeping) })
	err = contained(func() error { return r.session(led, deadlines{publish: publishing, settle: until.settle}, term) })
	stopKeeping()
	watching.Wait()
	stopPublishing(nil)
	if led.Err() != nil && ctx.Err() == nil {
		err = context.Cause(led)
	}
	stopLeading(nil)
	switch {
	case successor != "" && ctx.Err() == nil:
		r.tenancy.give(until.settle, term, successor)
	case ctx.Err() != nil || !errors.Is(err, errAgain): // else the next session is this relay's too
		r.tenancy.free(until.settle, term)
	}
	return err
}

// hangUp ends a connection that may be of no use any more.
func hangUp(until deadlines, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(until.settle, time.Second)
	defer cancel()
	_ = conn.Conn().Close(ctx)
	conn.Release()
}

// session is what a leader does with one database session: it measures from the beginning, purges, makes Postgres and the
// stream agree, and then publishes.
func (r *Relay) session(ctx context.Context, until deadlines, term int64) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer hangUp(until, conn)
	reading, err := onServer(ctx, conn)
	if err != nil {
		return err
	}
	r.db = reading.under(term, r.pool)
	if err := Check(ctx, reading, r.version); err != nil {
		return err
	}
	warnings, err := Warnings(ctx, reading)
	if err != nil {
		return fmt.Errorf("look for oddities: %w", err)
	}
	r.track.warned(warnings)
	r.metrics.sessions.Inc()
	if r.byHand, err = readByHand(ctx, reading); err != nil {
		return fmt.Errorf("read the epoch: %w", err)
	}
	r.held.Store(nil)
	if err := r.buryUnreachable(ctx); err != nil {
		return err
	}
	keys, err := readHeldKeys(ctx, reading)
	if err != nil {
		return fmt.Errorf("read the held keys: %w", err)
	}
	if r.cfg.AfterDeadLetter != HoldKey {
		keys = nil
	}
	if r.table, err = readGeneration(ctx, reading); err != nil {
		return fmt.Errorf("read the generation of the table: %w", err)
	}
	if err := r.takeBackLogged(ctx); err != nil {
		return err
	}
	if err := r.findForeign(ctx); err != nil {
		return err
	}
	r.chooseBroker(ctx)
	r.low.Store(0)
	r.landed.Store(false)
	r.parked.Store(newParkedIDs())
	r.held.Store(newHeldKeys(keys))
	r.aside.Store(newAside(r.cfg.newLaneBackoff))
	r.track.delayed(0)
	purge := purger{db: r.db, retention: r.cfg.Retention, brokers: r.purges(), track: r.track, metrics: r.metrics}

	group, running := errgroup.WithContext(ctx)
	var renumbered atomic.Bool // whoever noticed it, and whichever error came first
	start := func(loop func() error) {
		group.Go(func() error {
			err := contained(loop)
			if errors.Is(err, errRenumbered) {
				renumbered.Store(true)
			}
			return err
		})
	}
	start(func() error { return r.measureLoop(running) })
	start(func() error { return r.switchLoop(running) })
	start(func() error { return purge.run(running, r.cfg.newBackoff(r.cfg.BackoffMax)) })
	start(func() error {
		if err := r.proveReceipts(running); err != nil {
			return fmt.Errorf("compare the receipts with the events: %w", err)
		}
		at, state, err := r.reconcile(running)
		if err != nil {
			return err
		}
		start(func() error { return r.watchLoop(running, at, state) })
		return r.pipeline(running, until, reading, r.newBell(conn.Conn(), term), at, state)
	})
	err = group.Wait()
	r.distrusts = r.distrusts || renumbered.Load() // the next session may find a sequence that has passed the receipts again
	return err
}

func (r *Relay) reconciler(ledger Ledger) reconciler {
	return reconciler{
		ledger: ledger, broker: r.active.Name(), heal: r.cfg.Heal, track: r.track,
		db: r.db, table: r.table, prepare: r.rehome,
	}
}

// reconcile makes Postgres and the stream agree, see [reconciler], and tries until it is done. Meanwhile the session is proved
// alive.
func (r *Relay) reconcile(ctx context.Context) (place, StreamState, error) {
	ledger, ok := r.active.(Ledger)
	if !ok {
		return place{broker: r.active.Name()}, StreamState{}, r.rehome(ctx)
	}
	work := r.reconciler(ledger)
	retry := r.cfg.newBackoff(brokerPauseMax)
	for {
		at, state, err := work.run(ctx)
		var database *databaseError
		switch {
		case err == nil:
			r.track.brokerLooked(BrokerOK, nil)
			return at, state, nil
		case ctx.Err() != nil:
			return at, state, context.Cause(ctx)
		case errors.Is(err, ErrSwitched):
			return at, state, fmt.Errorf("%w: %w", errAgain, err)
		case errors.As(err, &database):
			return at, state, fmt.Errorf("make the outbox and the stream agree: %w", err)
		}
		r.track.brokerLooked(stateOf(err), err)
		wait := retry.NextBackOff()
		if stateOf(err) == BrokerMisconfigured {
			wait = misconfiguredPause
		}
		pause(ctx, wait)
		if err := r.db.prove(ctx); err != nil {
			return at, state, fmt.Errorf("prove the session: %w", err)
		}
	}
}

// pipeline runs the loops: read ahead, publish, settle behind. The publish loop takes one batch while the reader holds the
// next, and the settle loop writes the one before, so that at most three batches are in memory.
func (r *Relay) pipeline(ctx context.Context, until deadlines, db *database, ring *bell, at place, state StreamState) error {
	parked, held, aside := r.parked.Load(), r.held.Load(), r.aside.Load()
	bounds := limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes}
	read := newReader(watchedDB{db, r.loops.read}, r.table, bounds, parked, held, aside, &r.low, &r.landed)
	read.absent = r.absent
	if err := read.rebuild(ctx); err != nil {
		return fmt.Errorf("read the receipts: %w", err)
	}
	var err error
	if read.rehomed, err = r.readRehomes(ctx, db); err != nil {
		return fmt.Errorf("read what is rehomed: %w", err)
	}
	batches := make(chan batch)
	settlements := make(chan settlement, 16)
	dead := make(chan []deadLetter, 16)
	dispatch := r.newDispatcher(parked, held, aside, settlements, read.rehomed)
	dispatch.trust = state.DuplicateWindow / 2 // the other half is for clocks, and for the time that a try takes
	settle := r.newSettler(parked, at, state.Last, dead)
	bury := r.newBurier(parked)

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return contained(func() error { return r.readLoop(running, read, db, ring, batches) })
	})
	group.Go(func() error {
		defer close(settlements)
		return contained(func() error { return dispatch.run(running, until.publish, batches) })
	})
	group.Go(func() error {
		err := contained(func() error { bury.run(until.settle, dead); return nil })
		if err != nil {
			for range dead { // the settle loop must not wait for it
			}
		}
		return err
	})
	group.Go(func() error {
		defer close(dead)
		err := contained(func() error { return settle.run(until.settle, settlements) })
		if err != nil {
			r.track.lines.warn("the database did not take everything that the broker has stored; the next relay looks for it in the stream", zap.Error(err))
		}
		for range settlements {
		}
		return err
	})
	return group.Wait()
}

func (r *Relay) newDispatcher(parked *parkedIDs, held *heldKeys, aside *aside, out chan<- settlement, rehomed []span) *dispatcher {
	ledger, _ := r.active.(Ledger)
	return &dispatcher{
		cfg: r.cfg, publisher: r.active, ledger: ledger, track: r.track, metrics: r.metrics, clock: &r.clock, out: out,
		reread: func(ctx context.Context, ids []int64) (page, error) {
			p, err := readIDs(ctx, r.db, mark{generation: r.table}, ids, limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes})
			return markRehomed(p, rehomed), err
		},
		progress: r.loops.publish, limit: r.limit,
		lanes: newLanes(parked, r.cfg.newLaneBackoff), aside: aside, held: held, size: r.cfg.BatchEvents, backoff: r.cfg.newBackoff(brokerPauseMax),
	}
}

func (r *Relay) newSettler(parked *parkedIDs, at place, last uint64, dead chan<- []deadLetter) *settler {
	span := receiptSpan
	if r.cfg.Retention > 0 {
		span = min(span, r.cfg.Retention/10)
	}
	write := (&receipts{db: r.db, span: span}).write
	if r.cfg.Retention == 0 && !slices.Contains(r.rehomes(), at.broker) { // what is to be rehomed is kept
		write = func(ctx context.Context, news acknowledged) error { return removeEvents(ctx, r.db, news) }
	}
	return &settler{
		write: write, dead: dead, place: at, table: r.table, last: last, track: r.track, parked: parked,
		backoff: r.cfg.newBackoff(brokerPauseMax), progress: r.loops.settle,
	}
}

func (r *Relay) newBurier(parked *parkedIDs) *burier {
	hold := r.cfg.AfterDeadLetter == HoldKey
	return &burier{
		move:   func(ctx context.Context, dead []deadLetter) error { return moveDead(ctx, r.db, dead, hold) },
		behind: r.behind.Load, track: r.track, parked: parked,
	}
}

// readLoop owns the time of the reader: again at once after a find, then sleep until the bell rings or, where it cannot, pauses that grow
// with the quiet, and a sweep now and then.
func (r *Relay) readLoop(ctx context.Context, read *reader, db *database, ring *bell, out chan<- batch) error {
	lastFind := time.Now()
	nextSweep, sweepAt := time.Now().Add(r.cfg.SweepInterval), fromStart
	defer r.loops.read.idle()
	for {
		r.loops.read.work(databaseLimit)
		if err := ring.heard(ctx); err != nil {
			return err
		}
		b, err := read.next(ctx)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		r.behind.Store(read.behind)
		r.metrics.openGaps.Set(float64(read.gaps.len()))
		if len(b.events) > 0 {
			r.loops.read.idle()
			if err := hand(ctx, b, db, ring, out); err != nil {
				return err
			}
			r.loops.read.work(databaseLimit)
			lastFind = time.Now()
		}
		if time.Now().After(nextSweep) {
			began := time.Now()
			if sweepAt, err = r.sweep(ctx, read, sweepAt); err != nil {
				return err
			}
			rest := sweepShare * time.Since(began)
			if sweepAt == fromStart {
				rest = max(rest, r.cfg.SweepInterval)
			}
			nextSweep = time.Now().Add(rest)
		}
		again, err := ring.again(ctx, read, b)
		if err != nil {
			return err
		}
		if !again {
			quiet := min(max(time.Since(lastFind)/quietParts, readPauseMin), r.cfg.PollInterval)
			r.loops.read.idle()
			if err := ring.wait(ctx, read, quiet); err != nil {
				return err
			}
		}
	}
}

// hand gives a batch to the publish loop. While that takes its time the session is proved alive: what was read is true of it alone.
func hand(ctx context.Context, b batch, db *database, ring *bell, out chan<- batch) error {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	busy := time.NewTimer(handPatience)
	defer busy.Stop()
	for {
		select {
		case out <- b:
			return nil
		case <-busy.C:
			if err := ring.giveBack(ctx); err != nil {
				return err
			}
		case <-ticker.C:
			if err := db.prove(ctx); err != nil {
				return fmt.Errorf("prove the session: %w", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sweep does a part of the safety sweep, see [reader.sweepStep].
func (r *Relay) sweep(ctx context.Context, read *reader, after int64) (next int64, err error) {
	if after == fromStart {
		if err := read.requireProven(ctx); err != nil {
			return after, fmt.Errorf("doubt the receipts: %w", err)
		}
		if err := r.buryUnreachable(ctx); err != nil {
			return after, err
		}
	}
	found, next, err := read.sweepStep(ctx, after)
	if err != nil {
		return after, fmt.Errorf("sweep for forgotten events: %w", err)
	}
	if found == 0 {
		return next, nil
	}
	epoch, err := readEpoch(ctx, r.db)
	switch {
	case err != nil:
		return after, fmt.Errorf("read the epoch: %w", err)
	case epoch != r.byHand.epoch: // what was found are events of an operator, which the next session reads
		return after, askedSince(ctx, r.db, r.byHand.request)
	}
	r.metrics.sweepFound.Add(float64(found))
	r.track.swept(found)
	return next, nil
}

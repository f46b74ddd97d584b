package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// leaderLock is the advisory lock that the leading relay's session holds: "outbox" in ASCII.
	leaderLock = 0x6f7574626f78
	// standbyInterval is how often a standby asks whether it can lead.
	standbyInterval = time.Second
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

// lead takes one database session, waits until no other relay leads, and publishes until ctx ends or the session fails.
// Nothing but the session carries over from one call to the next: the table says what is still to publish.
func (r *Relay) lead(ctx context.Context, until deadlines) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// The session ends with the lead, and its lock with it, even where the server still believes in a dead connection.
	defer func() {
		closing, cancel := context.WithTimeout(until.settle, time.Second)
		defer cancel()
		_ = conn.Conn().Close(closing)
		conn.Release()
	}()
	if err := Check(ctx, conn, r.version); err != nil {
		return err
	}
	if err := r.waitForLock(ctx, conn); err != nil {
		return err
	}
	warnings, err := Warnings(ctx, conn)
	if err != nil {
		return fmt.Errorf("look for oddities: %w", err)
	}
	r.track.warned(warnings)
	r.track.databaseWorks(leading)
	r.track.enter(StateLeading)
	r.metrics.sessions.Inc()
	return r.session(ctx, until, conn)
}

// waitForLock returns when this session leads.
func (r *Relay) waitForLock(ctx context.Context, conn *pgxpool.Conn) error {
	for {
		got, err := tryLock(ctx, conn)
		if err != nil {
			return fmt.Errorf("ask for the lead: %w", err)
		}
		if got {
			return nil
		}
		r.track.databaseWorks(leading)
		r.track.enter(StateStandby)
		if !pause(ctx, standbyInterval) {
			return context.Cause(ctx)
		}
	}
}

func tryLock(ctx context.Context, conn *pgxpool.Conn) (got bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	err = conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", int64(leaderLock)).Scan(&got)
	return got, err
}

// session is what a leader does with its database session: it measures from the beginning, purges, makes Postgres and the
// stream agree, and then publishes.
func (r *Relay) session(ctx context.Context, until deadlines, conn *pgxpool.Conn) error {
	// The epoch is read before anything that it speaks of.
	epoch, err := queryOne[int64](ctx, conn, "select coalesce(max(epoch), 0) from outbox.control")
	if err != nil {
		return fmt.Errorf("read the epoch: %w", err)
	}
	keys, err := readHeldKeys(ctx, conn)
	if err != nil {
		return fmt.Errorf("read the held keys: %w", err)
	}
	if r.cfg.AfterDeadLetter != HoldKey {
		keys = nil
	}
	r.chooseBroker()
	r.low.Store(0)
	r.landed.Store(false)
	r.parked.Store(newParkedIDs())
	r.held.Store(newHeldKeys(keys))
	purge := purger{pool: r.pool, retention: r.cfg.Retention, keep: r.rehomes(), track: r.track, metrics: r.metrics}

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return r.measureLoop(running, epoch) })
	group.Go(func() error { return r.switchLoop(running) })
	group.Go(func() error { return purge.run(running, r.cfg.newBackoff(r.cfg.BackoffMax)) })
	group.Go(func() error {
		at, state, err := r.reconcile(running, conn)
		if err != nil {
			return err
		}
		group.Go(func() error { return r.watchLoop(running, at, state) })
		return r.pipeline(running, until, conn, at, state)
	})
	return group.Wait()
}

// reconcile makes Postgres and the stream agree, see [reconciler], and tries until it is done. Meanwhile the session is proved
// alive.
func (r *Relay) reconcile(ctx context.Context, conn *pgxpool.Conn) (place, StreamState, error) {
	ledger, ok := r.active.(Ledger)
	if !ok {
		return place{broker: r.active.Name()}, StreamState{}, r.rehome(ctx, conn)
	}
	work := reconciler{
		ledger: ledger, broker: r.active.Name(), heal: r.cfg.Heal, track: r.track,
		prepare: func(ctx context.Context) error { return r.rehome(ctx, conn) },
	}
	retry := r.cfg.newBackoff(brokerPauseMax)
	for {
		at, state, err := work.run(ctx, conn)
		var database *databaseError
		switch {
		case err == nil:
			r.track.brokerAnswered(BrokerOK, nil)
			return at, state, nil
		case ctx.Err() != nil:
			return at, state, context.Cause(ctx)
		case errors.Is(err, ErrSwitched):
			return at, state, fmt.Errorf("%w: %w", errAgain, err)
		case errors.As(err, &database):
			return at, state, fmt.Errorf("make the outbox and the stream agree: %w", err)
		}
		r.track.brokerAnswered(stateOf(err), err)
		wait := retry.NextBackOff()
		if stateOf(err) == BrokerMisconfigured {
			wait = misconfiguredPause
		}
		pause(ctx, wait)
		if err := prove(ctx, conn); err != nil {
			return at, state, fmt.Errorf("prove the session: %w", err)
		}
	}
}

// pipeline runs the loops: read ahead, publish, settle behind. The publish loop takes one batch while the reader holds the
// next, and the settle loop writes the one before, so that at most three batches are in memory.
func (r *Relay) pipeline(ctx context.Context, until deadlines, conn *pgxpool.Conn, at place, state StreamState) error {
	parked, held := r.parked.Load(), r.held.Load()
	read := newReader(conn, limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes}, parked, held, &r.low, &r.landed)
	if err := read.rebuild(ctx); err != nil {
		return fmt.Errorf("read the receipts: %w", err)
	}
	var err error
	if read.rehomed, err = r.readRehomes(ctx, conn); err != nil {
		return fmt.Errorf("read what is rehomed: %w", err)
	}
	batches := make(chan batch)
	settlements := make(chan settlement, 16)
	dispatch := r.newDispatcher(parked, held, settlements, read.rehomed)
	dispatch.trust = state.DuplicateWindow / 2 // the other half is for clocks, and for the time that a try takes
	settle := r.newSettler(parked, at, state.Last)

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return r.readLoop(running, read, conn, batches)
	})
	group.Go(func() error {
		defer close(settlements)
		return dispatch.run(running, until.publish, batches)
	})
	group.Go(func() error {
		err := settle.run(until.settle, settlements)
		if err != nil {
			r.log.Warn("the database did not take everything that the broker has stored; the next relay looks for it in the stream", zap.Error(err))
		}
		for range settlements {
		}
		return err
	})
	return group.Wait()
}

func (r *Relay) newDispatcher(parked *parkedIDs, held *heldKeys, out chan<- settlement, rehomed []span) *dispatcher {
	return &dispatcher{
		cfg: r.cfg, publisher: r.active, track: r.track, metrics: r.metrics, clock: &r.clock, out: out,
		reread: func(ctx context.Context, ids []int64) (page, error) {
			p, err := readIDs(ctx, r.pool, ids, limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes})
			return markRehomed(p, rehomed), err
		},
		lanes: newLanes(parked, r.cfg.newLaneBackoff), held: held, size: r.cfg.BatchEvents, backoff: r.cfg.newBackoff(brokerPauseMax),
	}
}

func (r *Relay) newSettler(parked *parkedIDs, at place, last uint64) *settler {
	span := receiptSpan
	if r.cfg.Retention > 0 {
		span = min(span, r.cfg.Retention/10)
	}
	write := (&receipts{pool: r.pool, span: span}).write
	if r.cfg.Retention == 0 && at.broker != r.rehomes() { // what is to be rehomed is kept
		write = func(ctx context.Context, news acknowledged) error { return removeEvents(ctx, r.pool, news) }
	}
	hold := r.cfg.AfterDeadLetter == HoldKey
	return &settler{
		write: write, place: at, last: last,
		move:  func(ctx context.Context, dead []deadLetter) error { return buryEvents(ctx, r.pool, dead, hold) },
		track: r.track, parked: parked, backoff: r.cfg.newBackoff(brokerPauseMax),
	}
}

// readLoop owns the time of the reader: again at once after a find, pauses that grow with the quiet, a sweep now and then.
func (r *Relay) readLoop(ctx context.Context, read *reader, conn *pgxpool.Conn, out chan<- batch) error {
	lastFind := time.Now()
	nextSweep := time.Now().Add(r.cfg.SweepInterval)
	for {
		b, err := read.next(ctx)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		r.metrics.openGaps.Set(float64(read.gaps.len()))
		if len(b.events) > 0 {
			if err := hand(ctx, b, conn, out); err != nil {
				return err
			}
			lastFind = time.Now()
		}
		if time.Now().After(nextSweep) || read.gaps.takeOverflow() {
			took, err := r.sweep(ctx, read)
			if err != nil {
				return err
			}
			nextSweep = time.Now().Add(max(r.cfg.SweepInterval, sweepShare*took))
		}
		if len(b.events) == 0 {
			quiet := min(max(time.Since(lastFind)/quietParts, readPauseMin), r.cfg.PollInterval)
			if !pause(ctx, quiet) {
				return context.Cause(ctx)
			}
		}
	}
}

// hand gives a batch to the publish loop. While that takes its time the session is proved alive: the lead depends on it.
func hand(ctx context.Context, b batch, conn *pgxpool.Conn, out chan<- batch) error {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case out <- b:
			return nil
		case <-ticker.C:
			if err := prove(ctx, conn); err != nil {
				return fmt.Errorf("prove the session: %w", err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func prove(ctx context.Context, conn *pgxpool.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return conn.Ping(ctx)
}

// sweep runs the safety sweep and returns how long it took.
func (r *Relay) sweep(ctx context.Context, read *reader) (time.Duration, error) {
	began := time.Now()
	found, err := read.sweep(ctx)
	if err != nil {
		return 0, fmt.Errorf("sweep for forgotten events: %w", err)
	}
	if found > 0 {
		r.metrics.sweepFound.Add(float64(found))
		r.track.swept(found)
	}
	return time.Since(began), nil
}

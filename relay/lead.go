package relay

import (
	"context"
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
	r.track.databaseWorks(leading)
	r.track.enter(StateLeading)
	r.metrics.sessions.Inc()
	return r.pipeline(ctx, until, conn)
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

// pipeline runs the loops: read ahead, publish, settle behind. The publish loop takes one batch while the reader holds the
// next, and the settle loop writes the one before, so that at most three batches are in memory.
func (r *Relay) pipeline(ctx context.Context, until deadlines, conn *pgxpool.Conn) error {
	parked := newParkedIDs()
	r.parked.Store(parked)
	read := newReader(conn, limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes}, parked, &r.low)
	batches := make(chan batch)
	settlements := make(chan settlement, 16)
	dispatch := r.newDispatcher(parked, settlements)
	settle := r.newSettler(parked)

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return r.readLoop(running, read, conn, batches)
	})
	group.Go(func() error {
		defer close(settlements)
		dispatch.run(running, until.publish, batches)
		return nil
	})
	group.Go(func() error {
		err := settle.run(until.settle, settlements)
		if err != nil {
			r.log.Warn("the database did not take everything that the broker has stored; the next relay publishes it again, with the same ids", zap.Error(err))
		}
		for range settlements {
		}
		return err
	})
	group.Go(func() error { return r.measureLoop(running) })
	return group.Wait()
}

func (r *Relay) newDispatcher(parked *parkedIDs, out chan<- settlement) *dispatcher {
	return &dispatcher{
		cfg: r.cfg, publisher: r.publisher, track: r.track, metrics: r.metrics, clock: &r.clock, out: out,
		reread: func(ctx context.Context, ids []int64) (page, error) {
			return readIDs(ctx, r.pool, ids, limits{events: r.cfg.BatchEvents, bytes: r.cfg.BatchBytes})
		},
		lanes: newLanes(parked, r.cfg.newLaneBackoff), size: r.cfg.BatchEvents, backoff: r.cfg.newBackoff(brokerPauseMax),
	}
}

func (r *Relay) newSettler(parked *parkedIDs) *settler {
	return &settler{
		remove: func(ctx context.Context, stored []identity) error { return deleteEvents(ctx, r.pool, stored) },
		move:   func(ctx context.Context, dead []deadLetter) error { return buryEvents(ctx, r.pool, dead) },
		track:  r.track, parked: parked, backoff: r.cfg.newBackoff(brokerPauseMax),
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

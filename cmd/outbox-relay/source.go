package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

const (
	// startPauseMin and startPauseMax bound the pause after an attempt to begin with a source that cannot be served yet.
	startPauseMin = 500 * time.Millisecond
	startPauseMax = 5 * time.Second
	// startReminder is how often a cause that stays the same is logged again.
	startReminder = 30 * time.Second
)

// source is one database of the daemon with what relays from it. It shares nothing with the other sources: what hangs or fails in one
// delays no other.
type source struct {
	settings  *config.Settings
	log       *zap.Logger
	migrate   bool // apply missing migrations first
	alone     bool // there is no other source
	pool      *pgxpool.Pool
	publisher relay.Publisher
	engine    *relay.Relay
	waits     atomic.Pointer[string] // why the engine does not run yet; nil if it does
	waited    string                 // why the engine did not run, as it was logged last; empty if it began at once
	told      time.Time              // when that was
}

// newSource makes everything that a source needs, and connects to nothing. What it returns is to be closed, also with an error.
func (d *daemon) newSource(ctx context.Context, settings *config.Settings, registry prometheus.Registerer) (*source, error) {
	s := &source{
		settings: settings, migrate: d.migrate, alone: len(d.settings.Sources()) == 1,
		log: d.log.With(zap.String("source", settings.Source)),
	}
	warnOfPlain(s.log, settings)
	var err error
	if s.pool, err = newPool(ctx, settings); err != nil {
		return s, err
	}
	if s.publisher, err = newPublisher(settings, s.log); err != nil {
		return s, err
	}
	s.engine, err = relay.New(settings.Config.Relay, relay.Options{
		Pool: s.pool, Publisher: s.publisher, Logger: s.log, SchemaVersion: migrations.Latest(),
		Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"source": settings.Source}, registry), Share: d.share,
		Rehome: rehomed(settings.Config), PurgeForeign: !settings.Config.Failover.Rehome,
		AnswerTimeout: answerTimeout(settings.Config),
	})
	return s, err
}

// warnOfPlain logs that connections to Postgres may be unencrypted although no setting says so.
func warnOfPlain(log *zap.Logger, settings *config.Settings) {
	if host := settings.Config.Postgres.MayBePlain(); host != "" {
		log.Warn("connections to Postgres may be unencrypted",
			zap.String("host", host), zap.String("value", settings.Show("postgres.url")), zap.String("next",
				"set sslmode in postgres.url: verify-full with sslrootcert, or disable if the network is trusted"))
	}
}

// answerTimeout returns how long a publisher waits for its broker at most.
func answerTimeout(cfg config.Config) time.Duration {
	mq, redis := cfg.MQ, cfg.Redis
	return max(mq.ConnectTimeout+mq.PublishTimeout, redis.ConnectTimeout+redis.PublishTimeout+redis.WaitTimeout)
}

// run relays from the source until ctx ends. It tells tried how each attempt to begin went, and gives up when tried returns an error.
func (s *source) run(ctx context.Context, tried func(error) error) error {
	begin := func() (struct{}, error) {
		err := s.begin(ctx)
		if ctx.Err() != nil {
			return struct{}{}, err
		}
		s.note(err)
		if end := tried(err); end != nil {
			return struct{}{}, backoff.Permanent(end)
		}
		s.tell(err)
		return struct{}{}, err
	}
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: startPauseMin, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: startPauseMax,
	}
	_, err := backoff.Retry(ctx, begin, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	return s.engine.Run(ctx)
}

// begin makes sure that the database can be relayed from. With a broker that must be set up differently a lone relay does not start; where
// there are others, a broker is connected to only by the relay that leads, and when it first does.
func (s *source) begin(ctx context.Context) error {
	err := s.openDatabase(ctx)
	if err == nil && s.alone {
		err = connect(ctx, s.publisher, s.settings)
	}
	return err
}

// note keeps why the engine does not run yet.
func (s *source) note(err error) {
	if err == nil {
		s.waits.Store(nil)
		return
	}
	text := err.Error()
	s.waits.Store(&text)
}

// tell logs why the engine does not run yet, now and then while that stays the same, or that it begins after all.
func (s *source) tell(err error) {
	switch f := (*failure)(nil); {
	case errors.As(err, &f) && (f.Error() != s.waited || time.Since(s.told) >= startReminder):
		s.waited, s.told = f.Error(), time.Now()
		s.log.Error("cannot begin, trying again", zap.Error(err), zap.String("value", f.value), zap.String("next", f.next))
	case err == nil && s.waited != "":
		s.log.Info("can begin now")
	}
}

// Status returns what the engine says, and why it does not run yet if it does not.
func (s *source) Status() relay.Status {
	status := s.engine.Status()
	if why := s.waits.Load(); why != nil {
		status.Ready, status.NotReady = false, *why
	}
	return status
}

// openDatabase makes sure that the database answers, and has a schema that a relay can work with.
func (s *source) openDatabase(ctx context.Context) error {
	if s.migrate {
		if err := s.migrateUp(ctx); err != nil {
			return err
		}
	}
	if err := ping(ctx, s.pool, s.settings); err != nil {
		return err
	}
	if err := relay.Check(ctx, s.pool, migrations.Latest()); err != nil {
		return explainCheck(s.settings, err)
	}
	return nil
}

func (s *source) migrateUp(ctx context.Context) error {
	db, err := openDB(ctx, s.settings)
	if err != nil {
		return err
	}
	defer db.Close()
	steps, err := migrations.Up(ctx, db)
	for _, step := range steps {
		s.log.Info("migration applied", zap.Int64("version", step.Version), zap.String("name", step.Name))
	}
	if err != nil {
		return explainMigration(s.settings, "cannot migrate the database", err)
	}
	return nil
}

// close closes the publisher, then the pool.
func (s *source) close() {
	if s.publisher != nil {
		closeWithin(s.log, "publisher", s.publisher.Close)
	}
	if s.pool != nil {
		closeWithin(s.log, "pool of Postgres connections", abandonable(s.pool.Close))
	}
}

// closeAll closes the sources side by side: each may take its time.
func closeAll(sources []*source) {
	var closing sync.WaitGroup
	for _, s := range sources {
		closing.Go(s.close)
	}
	closing.Wait()
}

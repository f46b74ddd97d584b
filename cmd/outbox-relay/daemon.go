package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// closeTimeout bounds the closing of each part. The three of them fit into stopMargin.
const closeTimeout = 200 * time.Millisecond

// daemon is one run of the relay with everything around it.
type daemon struct {
	settings *config.Settings
	log      *zap.Logger
	migrate  bool // apply missing migrations first
}

// run starts the parts in the order in which they need each other, and stops them in the opposite order. Being told to stop before
// the start is complete is a clean stop too.
func (d *daemon) run(ctx context.Context) error {
	err := d.serve(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (d *daemon) serve(ctx context.Context) error {
	// Postgres: reachable, and with a schema that this program knows.
	pool, err := d.openDatabase(ctx)
	if err != nil {
		return err
	}
	defer closeWithin(d.log, "pool of Postgres connections", abandonable(pool.Close))

	// The admin server has its address before the broker is asked, so that a port that is taken ends the start at once.
	server, err := d.listen(ctx)
	if err != nil {
		return err
	}
	defer closeWithin(d.log, "admin server", server.close)

	// The relay itself. From here on probes are answered, also while the broker does not answer.
	publisher, err := newPublisher(d.settings.Config, d.log)
	if err != nil {
		return err
	}
	defer closeWithin(d.log, "publisher", publisher.Close)
	registry := admin.NewRegistry()
	engine, err := d.newRelay(pool, publisher, registry)
	if err != nil {
		return err
	}
	server.start(engine, registry)

	// The broker: a stream that cannot take the events ends the start, a server that is away does not.
	if err := connect(ctx, publisher, d.settings, d.log); err != nil {
		return err
	}
	return engine.Run(ctx)
}

func (d *daemon) newRelay(pool *pgxpool.Pool, publisher relay.Publisher, registry prometheus.Registerer) (*relay.Relay, error) {
	return relay.New(d.settings.Config.Relay, relay.Options{
		Pool: pool, Publisher: publisher, Logger: d.log, Registerer: registry, SchemaVersion: migrations.Latest(),
	})
}

// openDatabase returns a pool of a database that a relay can work with.
func (d *daemon) openDatabase(ctx context.Context) (*pgxpool.Pool, error) {
	if d.migrate {
		if err := d.migrateUp(ctx); err != nil {
			return nil, err
		}
	}
	pool, err := openPool(ctx, d.settings)
	if err != nil {
		return nil, err
	}
	if err := relay.Check(ctx, pool, migrations.Latest()); err != nil {
		pool.Close()
		return nil, explainCheck(d.settings, err)
	}
	return pool, nil
}

func (d *daemon) migrateUp(ctx context.Context) error {
	db, err := openDB(ctx, d.settings)
	if err != nil {
		return err
	}
	defer db.Close()
	steps, err := migrations.Up(ctx, db)
	for _, step := range steps {
		d.log.Info("migration applied", zap.Int64("version", step.Version), zap.String("name", step.Name))
	}
	if err != nil {
		return explainMigration(d.settings, "cannot migrate the database", err)
	}
	return nil
}

// abandonable makes a function that takes no context one that returns when ctx ends, and leaves the rest to the end of the
// process. Closing a pool says goodbye to the server, which never answers if it hangs.
func abandonable(closePart func()) func(context.Context) error {
	return func(ctx context.Context) error {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			closePart()
		}()
		select {
		case <-closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closeWithin closes a part and logs what went wrong: at a stop there is nobody to return it to.
func closeWithin(log *zap.Logger, name string, closePart func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := closePart(ctx); err != nil {
		log.Warn("could not close the "+name, zap.Error(err))
	}
}

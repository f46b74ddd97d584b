package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay"
)

// engine is the relay and what it works with: the same as in production.
type engine struct {
	*relay.Relay
	pool   *pgxpool.Pool
	stream string
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // valid when ended is closed
}

// startEngine connects a relay to both servers and runs it.
func startEngine(ctx context.Context, postgresURL, natsURL string, log *zap.Logger, c *cleanup) (*engine, error) {
	cfg := jetstream.DefaultConfig()
	cfg.NATSURL = natsURL
	publisher, err := jetstream.New(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	c.later("close the publisher", publisher.Close)
	if err := publisher.Connect(ctx); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	pool, err := relay.NewPool(ctx, postgresURL, relay.MinConns+1) // one for the demo's own look at the backlog
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	c.later("close the relay's connections", func(context.Context) error { pool.Close(); return nil })
	r, err := relay.New(relay.DefaultConfig(), relay.Options{
		Pool: pool, Publisher: publisher, Logger: log, SchemaVersion: migrations.Latest(),
	})
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	e := &engine{Relay: r, pool: pool, stream: cfg.StreamName}
	e.run()
	c.later("stop the relay", func(context.Context) error { return e.stop() })
	return e, e.awaitLeading(ctx)
}

// leadTimeout bounds how long the relay may take to begin its work.
const leadTimeout = 30 * time.Second

// awaitLeading waits until the relay reads the outbox, so that the first events of the game do not measure its start.
func (e *engine) awaitLeading(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leadTimeout)
	defer cancel()
	for e.Status().State != relay.StateLeading {
		if !sleep(ctx, 5*time.Millisecond) {
			return fmt.Errorf("the relay does not begin to work: %s: %w", e.Status().NotReady, context.Cause(ctx))
		}
	}
	return nil
}

func (e *engine) run() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.ended = cancel, make(chan struct{})
	go func() {
		defer close(e.ended)
		e.err = e.Run(ctx)
	}()
}

// errRelayEnded says that the relay ended although nobody stopped it.
var errRelayEnded = errors.New("the relay ended by itself")

// stop stops the relay cleanly and waits for its end. It may be called again.
func (e *engine) stop() error {
	e.cancel()
	<-e.ended
	return e.err
}

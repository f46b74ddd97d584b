package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/failover"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/publishers/redisstream"
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

// servers are what the relay of the demo works with.
type servers struct {
	postgres string // URL
	mq       jetstream.Config
	redis    *redisstream.Config // nil for none
}

// publisher is one that connects before the first event.
type publisher interface {
	relay.Publisher
	relay.Connector
}

// publisher returns the publisher of JetStream, with Redis as its fallback where there is one. A demo is short, so it switches as
// fast as is allowed.
func (s servers) publisher(log *zap.Logger) (publisher, error) {
	primary, err := jetstream.New(s.mq, log)
	if err != nil || s.redis == nil {
		return primary, err
	}
	fallback, err := redisstream.New(*s.redis, log)
	if err != nil {
		return nil, err
	}
	return failover.New(failover.Config{After: time.Second, FailbackAfter: time.Second, Rehome: true}, primary, fallback, log)
}

// startEngine connects a relay to the servers and runs it.
func startEngine(ctx context.Context, s servers, log *zap.Logger, c *cleanup) (*engine, error) {
	publisher, err := s.publisher(log)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	c.later("close the publisher", publisher.Close)
	if err := publisher.Connect(ctx); err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	pool, err := relay.NewPool(ctx, s.postgres, relay.MinConns+1) // one for the demo's own look at the backlog
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
	e := &engine{Relay: r, pool: pool, stream: s.mq.StreamName}
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

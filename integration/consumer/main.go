package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// options are where the events are, and where the effects go.
type options struct {
	nats, stream, redis, key, database, name string
}

func main() {
	var o options
	flag.StringVar(&o.nats, "nats", "", "`url` of the NATS servers; empty for none")
	flag.StringVar(&o.stream, "stream", "game-events", "name of the JetStream stream")
	flag.StringVar(&o.redis, "redis", "", "`host:port` of the Redis server; empty for none")
	flag.StringVar(&o.key, "redis-stream", "game:events", "key of the Redis stream")
	flag.StringVar(&o.database, "database", "", "`url` of the consumer's own Postgres; empty to print events")
	flag.StringVar(&o.name, "name", "rewards", "name under which the brokers remember how far the consumer is")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := consume(ctx, o, log); err != nil {
		log.Error("cannot consume", "error", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

// consume reads from both brokers until ctx ends.
func consume(ctx context.Context, o options, log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	handler, closeHandler, err := newHandler(ctx, o, group, log)
	if err != nil {
		return err
	}
	defer closeHandler()
	if o.nats != "" {
		// A server that is away at the start, or for however long, is no reason to give up.
		nc, err := nats.Connect(o.nats, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second))
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		r := &jetStream{work: work{Handler: handler, log: log.With("broker", "jetstream")}, js: js, stream: o.stream, name: o.name}
		group.Go(func() error { return r.forever(ctx, r.read) })
	}
	if o.redis != "" {
		client := redis.NewClient(&redis.Options{Addr: o.redis})
		defer func() { _ = client.Close() }()
		r := &redisStream{work: work{Handler: handler, log: log.With("broker", "redis")}, client: client, key: o.key, group: o.name, owner: o.name}
		group.Go(func() error { return r.forever(ctx, r.read) })
	}
	return group.Wait()
}

// newHandler returns the handler that the options ask for, and what gives its connections back.
func newHandler(ctx context.Context, o options, group *errgroup.Group, log *slog.Logger) (Handler, func(), error) {
	if o.nats == "" && o.redis == "" {
		return nil, nil, errors.New("-nats or -redis is needed")
	}
	if o.database == "" {
		const ids = 1_000_000
		return &Printer{Recent: NewRecent(ids), out: os.Stdout}, func() {}, nil
	}
	db, err := pgxpool.New(ctx, o.database)
	if err != nil {
		return nil, nil, err
	}
	if _, err := db.Exec(ctx, inboxSchema+rewardSchema); err != nil {
		db.Close()
		return nil, nil, err
	}
	inbox := &Inbox{db: db}
	group.Go(func() error {
		for pause(ctx, time.Hour) {
			if err := inbox.forget(ctx); err != nil {
				log.Warn("cannot forget old event ids", "error", err)
			}
		}
		return nil
	})
	return inbox, db.Close, nil
}

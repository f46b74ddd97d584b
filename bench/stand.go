package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // goose works through database/sql
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay"
)

// streamName and subjects are the stream of every measurement; it is made anew for each.
const streamName = "outbox-bench"

// stand is a database and a stream of the benchmark's own on the servers that it was given.
type stand struct {
	o        options
	admin    *pgx.Conn
	database string
	url      string
	pool     *pgxpool.Pool
	nc       *nats.Conn
	js       natsjs.JetStream
	cpu      []time.Duration // this process's time for each drained event
}

func newStand(ctx context.Context, o options) (*stand, error) {
	s := &stand{o: o, database: fmt.Sprintf("outbox_bench_%d", os.Getpid())}
	var err error
	if s.admin, err = pgx.Connect(ctx, o.postgres); err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	if _, err = s.admin.Exec(ctx, "create database "+s.database); err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	address, err := url.Parse(o.postgres)
	if err != nil {
		return nil, fmt.Errorf("--postgres must be a URL: %w", err)
	}
	address.Path = s.database
	s.url = address.String()
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if s.pool, err = relay.NewPool(ctx, s.url, 8); err != nil {
		return nil, err
	}
	if s.nc, err = nats.Connect(o.nats); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	s.js, err = natsjs.New(s.nc)
	return s, err
}

func (s *stand) migrate(ctx context.Context) error {
	db, err := sql.Open("pgx", s.url)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := migrations.Up(ctx, db); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// close leaves the servers as they were.
func (s *stand) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.js.DeleteStream(ctx, streamName)
	s.nc.Close()
	s.pool.Close()
	_, _ = s.admin.Exec(ctx, "drop database "+s.database+" with (force)")
	_ = s.admin.Close(ctx)
}

// freshStream makes the stream anew, empty, as the relay makes it.
func (s *stand) freshStream(ctx context.Context) (natsjs.Stream, error) {
	_ = s.js.DeleteStream(ctx, streamName)
	return s.js.CreateStream(ctx, natsjs.StreamConfig{
		Name: streamName, Subjects: []string{"game.>"}, Storage: natsjs.FileStorage,
		Duplicates: 2 * time.Minute, AllowBatchPublish: true,
	})
}

// fill empties the outbox and puts the events of one measurement into it, one thousand keys in turn.
func (s *stand) fill(ctx context.Context) error {
	if err := s.empty(ctx); err != nil {
		return err
	}
	_, err := s.pool.Exec(ctx, `insert into outbox.events (subject, key, payload)
		select 'game.player.' || i % 1000 || '.moved', (i % 1000)::text, decode(repeat('ab', $2), 'hex')
		from generate_series(1, $1) as i`, s.o.events, s.o.size)
	if err != nil {
		return err
	}
	_, err = s.pool.Exec(ctx, "vacuum analyze outbox.events")
	return err
}

// empty leaves no event, and no memory of one.
func (s *stand) empty(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, "truncate outbox.events, outbox.receipts, outbox.positions")
	return err
}

// publisher returns the relay's own publisher, connected.
func (s *stand) publisher(ctx context.Context) (*jetstream.Publisher, error) {
	cfg := jetstream.DefaultConfig()
	cfg.NATSURL, cfg.StreamName = s.o.nats, streamName
	p, err := jetstream.New(cfg, zap.NewNop())
	if err != nil {
		return nil, err
	}
	return p, p.Connect(ctx)
}

// defaultRetention is what the relay has when nobody sets it.
var defaultRetention = relay.DefaultConfig().Retention

// withRelay runs a relay while work is done.
func (s *stand) withRelay(ctx context.Context, retention time.Duration, work func(*relay.Relay) error) error {
	p, err := s.publisher(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(context.WithoutCancel(ctx)) }() // nothing is in flight any more
	cfg := relay.DefaultConfig()
	cfg.Retention = retention
	r, err := relay.New(cfg, relay.Options{Pool: s.pool, Publisher: p, SchemaVersion: migrations.Latest()})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.Run(running) }()
	err = work(r)
	stop()
	if stopped := <-done; err == nil {
		err = stopped
	}
	return err
}

package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/broker"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/game"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/reaper"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/throwaway"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/jetstream"
)

// setUp makes everything that the demo needs. What it made before an error is in d.clean.
func (d *demo) setUp(ctx context.Context) error {
	began := time.Now()
	dir, guard, err := d.prepareDirectory()
	if err != nil {
		return err
	}
	if d.log, err = openLog(filepath.Join(dir, "demo.log"), &d.clean); err != nil {
		return err
	}
	if err := d.startPostgres(ctx, dir, guard); err != nil {
		return err
	}
	if err := d.startBroker(filepath.Join(dir, "nats")); err != nil {
		return err
	}
	s := servers{postgres: d.postgres.URL, mq: jetstream.DefaultConfig()}
	s.mq.NATSURL = d.broker.URL()
	if d.RedisURL != "" {
		if err := d.openFallback(ctx); err != nil {
			return err
		}
		s.redis = &d.fallback.Config
	}
	if d.engine, err = startEngine(ctx, s, d.log.log, &d.clean); err != nil {
		return err
	}
	if err := d.startConsumer(ctx); err != nil {
		return err
	}
	if err := d.prepareGame(ctx); err != nil {
		return err
	}
	d.screen.say("Ready after %.1f s. The game begins.", time.Since(began).Seconds())
	return nil
}

// prepareDirectory makes the directory of the demo, and the reaper that removes it should the demo be killed.
func (d *demo) prepareDirectory() (string, *reaper.Reaper, error) {
	guard, err := reaper.Start()
	if err != nil {
		return "", nil, err
	}
	// The first step is the last to run: only a demo that could clean up releases the reaper.
	d.clean.later("release the reaper", func(context.Context) error { return guard.Release() })
	dir, err := makeWorkdir(os.Geteuid())
	if err != nil {
		return "", nil, err
	}
	d.clean.later("remove "+dir, func(context.Context) error { return os.RemoveAll(dir) })
	return dir, guard, guard.Directory(dir)
}

func (d *demo) startPostgres(ctx context.Context, dir string, guard *reaper.Reaper) (err error) {
	d.postgres, err = throwaway.Start(ctx, throwaway.Options{
		URL: d.PostgresURL, Directory: dir, Getenv: d.Getenv, Guard: guard, Say: d.screen.say,
	})
	if err != nil {
		return err
	}
	d.clean.later("remove the Postgres of the demo", d.postgres.Stop)
	d.screen.say("Postgres %s is up (%s)", d.postgres.Version, d.postgres.Origin)

	cfg, err := pgx.ParseConfig(d.postgres.URL)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	if _, err := migrations.Up(ctx, db); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (d *demo) startBroker(dir string) (err error) {
	if d.broker, err = broker.Start(dir, d.log.log); err != nil {
		return err
	}
	d.clean.later("stop the JetStream server", func(context.Context) error { d.broker.Stop(); return nil })
	d.screen.say("JetStream %s is up (embedded, %s)", d.broker.Version(), d.broker.URL())
	return nil
}

// openFallback uses a stream of the demo's own on the given Redis server.
func (d *demo) openFallback(ctx context.Context) (err error) {
	d.standIn = newStandIn()
	if d.fallback, err = broker.OpenFallback(ctx, d.RedisURL, d.standIn.receive); err != nil {
		return err
	}
	d.clean.later("remove the stream of the demo in Redis", d.fallback.Remove)
	d.screen.say("Redis %s stands by (given, stream %s)", d.fallback.Version, d.fallback.Config.Stream)
	return nil
}

func (d *demo) startConsumer(ctx context.Context) (err error) {
	if d.consumer, err = broker.Consume(ctx, d.broker.URL(), d.engine.stream, d.receive); err != nil {
		return err
	}
	d.clean.later("stop the consumer", func(context.Context) error { d.consumer.Close(); return nil })
	return nil
}

// receive enters what the consumer got into the account. An event counts only if all that it says of itself agrees.
func (d *demo) receive(got broker.Delivery) {
	var fact game.Fact
	err := json.Unmarshal(got.Data, &fact)
	entry := fact.Entry()
	if err != nil || got.EventID != fact.ID.String() || got.Key != entry.Key || !strings.HasPrefix(got.Subject, fact.SubjectPrefix()) {
		d.books.Unreadable()
		return
	}
	d.books.Received(entry, got.Stored, got.At)
	if got.Rehomed {
		d.rehomed.Add(1)
	}
}

func (d *demo) prepareGame(ctx context.Context) (err error) {
	if d.game, err = game.New(ctx, d.postgres.URL, d.Rate, d.books, d.log.log); err != nil {
		return err
	}
	d.clean.later("close the game's connections", func(context.Context) error { d.game.Close(); return nil })
	return nil
}

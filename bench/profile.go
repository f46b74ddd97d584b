package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/relay"
)

// profileEvents are enough for a profile of several seconds.
const profileEvents = 1_000_000

// profileDrain writes a profile of the CPU that the relay uses in a drain.
func (l *lab) profileDrain(ctx context.Context, path string) error {
	c := &profiled{theRelay: *relayRetaining, path: path}
	values, err := l.drain(ctx, c, newWorkload(profileEvents, drainSize, manyKeys), nil)
	if err != nil {
		return err
	}
	for _, col := range drainCols {
		fmt.Fprintf(os.Stdout, "%s: %.*f %s\n", col.name, col.digits, values[col.name], col.unit)
	}
	fmt.Fprintf(os.Stdout, "the profile is in %s; look at it with: go tool pprof -top %s\n", path, path)
	return nil
}

// profiled is the relay inside this program, which can write profiles.
type profiled struct {
	theRelay
	path string
}

func (p *profiled) start(ctx context.Context, l *lab) (*process, error) {
	return l.startRival(ctx, rivalProfile, "-profile", p.path)
}

func runProfiled(ctx context.Context, s rivalServers) (err error) {
	pool, err := relay.NewPool(ctx, s.postgres, relay.MinConns)
	if err != nil {
		return err
	}
	defer pool.Close()
	cfg := jetstream.DefaultConfig()
	cfg.NATSURL, cfg.StreamName = s.nats, streamName
	publisher, err := jetstream.New(cfg, zap.NewNop())
	if err != nil {
		return err
	}
	defer func() { _ = publisher.Close(context.WithoutCancel(ctx)) }() // nothing is in flight any more
	if err := publisher.Connect(ctx); err != nil {
		return err
	}
	r, err := relay.New(relay.DefaultConfig(), relay.Options{Pool: pool, Publisher: publisher, SchemaVersion: migrations.Latest()})
	if err != nil {
		return err
	}
	file, err := os.Create(s.profile)
	if err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	tellReady()
	return r.Run(ctx)
}

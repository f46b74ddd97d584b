package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/publishers/noop"
	"github.com/gameoutbox/relay/publishers/redisstream"
	"github.com/gameoutbox/relay/relay"
)

// newPublisher returns the publisher of the configured broker: NATS where it is configured, else Redis. Without any it is the noop
// publisher, which says so loudly. A broker that cannot be reached never leads to it.
func newPublisher(cfg config.Config, log *zap.Logger) (relay.Publisher, error) {
	switch {
	case cfg.UsesNATS():
		if cfg.UsesRedis() {
			log.Warn("the section redis is not used: Redis as the fallback of NATS does not exist yet; events wait in Postgres while NATS is away",
				zap.String("redis.host", cfg.Redis.Host), zap.String("redis.stream", cfg.Redis.Stream))
		}
		return jetstream.New(cfg.MQ, log)
	case cfg.UsesRedis():
		return redisstream.New(cfg.Redis, log)
	}
	return noop.New(log), nil
}

// connector is a publisher with a broker to connect to before the first event.
type connector interface {
	Connect(ctx context.Context) error
}

// connect makes the first connection to the broker. One that is away is no error: the publisher has logged it and keeps trying, and
// events wait in Postgres. One that must be set up differently is.
func connect(ctx context.Context, publisher relay.Publisher, settings *config.Settings) error {
	broker, ok := publisher.(connector)
	if !ok {
		return nil
	}
	err := broker.Connect(ctx)
	if !errors.Is(err, relay.ErrMisconfigured) {
		return ctx.Err()
	}
	setting, section := "mq.nats_url", "mq"
	if !settings.Config.UsesNATS() {
		setting, section = "redis.host", "redis"
	}
	return &failure{
		what: "the broker cannot take the events", cause: err, value: settings.Show(setting),
		next: "change the broker or the section " + section + " as the cause says, then start again",
	}
}

package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/publishers/failover"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/publishers/noop"
	"github.com/gameoutbox/relay/publishers/redisstream"
	"github.com/gameoutbox/relay/relay"
)

// newPublisher returns the publisher of the configured broker: NATS where it is configured, else Redis, and where both are, NATS with
// Redis as its fallback. Without any it is the noop publisher, which says so loudly. A broker that cannot be reached never leads to it.
func newPublisher(settings *config.Settings, log *zap.Logger) (relay.Publisher, error) {
	cfg := rotating(settings)
	switch {
	case cfg.UsesFailover():
		return newPair(cfg, log)
	case cfg.UsesNATS():
		return jetstream.New(cfg.MQ, log)
	case cfg.UsesRedis():
		return redisstream.New(cfg.Redis, log)
	}
	missing := settings.Show("mq.nats_url") + ", " + settings.Show("redis.host") + "; set one of the two"
	return noop.New(log, missing), nil
}

// rehomed returns the names of the brokers whose events the configured one gets as well: where NATS
// is the primary, Redis may have stood in for it before the section redis was removed.
func rehomed(cfg config.Config) []string {
	if cfg.UsesNATS() && !cfg.UsesRedis() && cfg.Failover.Rehome {
		return []string{redisstream.Name}
	}
	return nil
}

// rotating returns the configuration of settings with brokers whose secrets are read from their files again at each sign-in.
func rotating(settings *config.Settings) config.Config {
	cfg := settings.Config
	cfg.MQ.Reread = func() (jetstream.Config, error) {
		now, err := settings.Reread("mq")
		return now.MQ, err
	}
	cfg.Redis.Reread = func() (redisstream.Config, error) {
		now, err := settings.Reread("redis")
		return now.Redis, err
	}
	return cfg
}

// newPair returns the publisher of NATS with Redis as its fallback.
func newPair(cfg config.Config, log *zap.Logger) (relay.Publisher, error) {
	primary, err := jetstream.New(cfg.MQ, log)
	if err != nil {
		return nil, err
	}
	fallback, err := redisstream.New(cfg.Redis, log)
	if err != nil {
		return nil, err
	}
	return failover.New(cfg.Failover, primary, fallback, log)
}

// connector is a publisher with a broker to connect to before the first event.
type connector interface {
	Connect(ctx context.Context) error
}

// connect makes the first connection to the broker. One that is away is no error: the publisher has logged it and keeps trying, and
// events wait in Postgres, or go to the fallback, which alone does not decide about the start. One that must be set up differently is.
func connect(ctx context.Context, publisher relay.Publisher, settings *config.Settings) error {
	broker, ok := publisher.(connector)
	if !ok {
		return nil
	}
	err := broker.Connect(ctx)
	if !errors.Is(err, relay.ErrMisconfigured) {
		return ctx.Err()
	}
	setting, section := brokerSetting(settings)
	return &failure{
		what: "the broker cannot take the events", cause: err, value: settings.Show(setting),
		next: "change the broker or the section " + section + " as the cause says, then start again",
	}
}

// brokerSetting returns which setting says where the broker is, of two the primary, and the section that it is in.
func brokerSetting(settings *config.Settings) (setting, section string) {
	if settings.Config.UsesNATS() {
		return "mq.nats_url", "mq"
	}
	return "redis.host", "redis"
}

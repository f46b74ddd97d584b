package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/publishers/noop"
	"github.com/gameoutbox/relay/relay"
)

// newPublisher returns the publisher of the configured broker. Without any it is the noop publisher, which says so loudly. A
// broker that cannot be reached never leads to it.
func newPublisher(cfg config.Config, log *zap.Logger) (relay.Publisher, error) {
	if cfg.UsesNATS() {
		return jetstream.New(cfg.MQ, log)
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
	return &failure{
		what: "the broker cannot take the events", cause: err, value: settings.Show("mq.nats_url"),
		next: "change the broker or the section mq as the cause says, then start again",
	}
}

package main

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
	"github.com/gameoutbox/relay/relay"
)

// ledger is the configured broker, to be read back.
type ledger struct {
	relay.Ledger
	publisher relay.Publisher
	log       *zap.Logger
}

// openLedger returns the configured broker, of two the primary. It changes nothing there: a stream that is missing stays missing.
func openLedger(settings *config.Settings) (*ledger, error) {
	single := *settings
	single.Config.MQ.CreateStream = false
	if single.Config.UsesFailover() {
		single.Config.Redis.Host = ""
	}
	log := zap.NewNop() // what goes wrong is in the errors
	publisher, err := newPublisher(&single, log)
	if err != nil {
		return nil, err
	}
	found, ok := publisher.(relay.Ledger)
	if !ok {
		closeWithin(log, "publisher", publisher.Close)
		return nil, &failure{
			what: "no broker is configured that could be read back", value: settings.Show("mq.nats_url"),
			next: "set mq.nats_url or redis.host to the server that the relay publishes to", code: codeUsage,
		}
	}
	return &ledger{Ledger: found, publisher: publisher, log: log}, nil
}

func (l *ledger) close() { closeWithin(l.log, "publisher", l.publisher.Close) }

// explainLedger explains why a stream could not be read; nil if err speaks of something else.
func explainLedger(settings *config.Settings, err error) error {
	setting, section := brokerSetting(settings)
	f := &failure{what: "cannot read the stream", cause: err, value: settings.Show(setting)}
	switch {
	case errors.Is(err, relay.ErrUnavailable):
		f.next = "check that the server runs, then run this again"
	case errors.Is(err, relay.ErrMisconfigured):
		f.next = "change the broker or the section " + section + " as the cause says, then run this again"
	default:
		return nil
	}
	return f
}

// explainStopped explains that a person ended the command; nil if nobody did.
func explainStopped(ctx context.Context, next string) error {
	if ctx.Err() == nil {
		return nil
	}
	return &failure{what: "interrupted", next: next}
}

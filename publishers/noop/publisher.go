package noop

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// shownPayload is how many bytes of a payload are logged.
const shownPayload = 256

// Publisher logs events. Make one with [New].
type Publisher struct {
	log    *zap.Logger
	closed atomic.Bool
}

var _ relay.Publisher = (*Publisher)(nil)

// New returns a publisher that logs events, and warns that nothing is published.
func New(log *zap.Logger) *Publisher {
	log.Warn("MQ not configured, using noop publisher: NOTHING IS PUBLISHED, every event is written to this log and then removed "+
		"from Postgres; set mq.nats_url to publish",
		zap.String("publisher", "noop"))
	return &Publisher{log: log}
}

// Name implements [relay.Publisher].
func (p *Publisher) Name() string { return "noop" }

// Publish implements [relay.Publisher]: it logs each event and answers that it is stored.
func (p *Publisher) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	outcomes := make([]relay.Outcome, len(events))
	if p.closed.Load() {
		return outcomes, fmt.Errorf("%w: %w", relay.ErrUnavailable, errClosed)
	}
	for i := range events {
		if err := ctx.Err(); err != nil {
			return outcomes, err
		}
		p.show(&events[i])
		outcomes[i].Stored = true
	}
	return outcomes, nil
}

func (p *Publisher) show(event *relay.Event) {
	p.log.Info("event, not published",
		zap.String("subject", event.Subject), zap.String("key", event.Key), zap.Stringer("event_id", event.EventID),
		zap.Int("bytes", len(event.Payload)), zap.String("payload", shorten(event.Payload)))
}

// shorten returns the beginning of a payload as text. Bytes that are none are left to the logger to escape.
func shorten(payload []byte) string {
	if len(payload) <= shownPayload {
		return string(payload)
	}
	end := shownPayload
	for end > shownPayload-utf8.UTFMax && !utf8.RuneStart(payload[end]) {
		end--
	}
	return string(payload[:end]) + "..."
}

// Close implements [relay.Publisher].
func (p *Publisher) Close(context.Context) error {
	p.closed.Store(true)
	return nil
}

var errClosed = errors.New("the publisher is closed")

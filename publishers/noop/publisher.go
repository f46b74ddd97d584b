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
	log     *zap.Logger
	missing string
	closed  atomic.Bool
}

var (
	_ relay.Publisher   = (*Publisher)(nil)
	_ relay.Placeholder = (*Publisher)(nil)
)

// Name is the name of no broker, which receipts of older versions carry.
const Name = "noop"

// New returns a publisher that logs events, and warns that nothing is published. missing says what
// to configure.
func New(log *zap.Logger, missing string) *Publisher {
	log.Warn("MQ not configured, using noop publisher", zap.String("publisher", "noop"),
		zap.String("effect", "NOTHING IS PUBLISHED: events are written to this log and wait in Postgres"),
		zap.String("missing", missing))
	return &Publisher{log: log, missing: missing}
}

// Name implements [relay.Publisher].
func (p *Publisher) Name() string { return Name }

// Missing implements [relay.Placeholder].
func (p *Publisher) Missing() string { return p.missing }

// Publish implements [relay.Publisher]: it logs each event. None is stored, which the error says.
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
	}
	return outcomes, fmt.Errorf("%w: %s", relay.ErrMisconfigured, p.missing)
}

func (p *Publisher) show(event *relay.Event) {
	p.log.Info("event, not published", zap.Int64("id", event.ID),
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

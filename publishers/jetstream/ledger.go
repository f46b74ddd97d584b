package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// Inspect implements [relay.Ledger].
func (p *Publisher) Inspect(ctx context.Context) (relay.StreamState, error) {
	l, err := p.ready(ctx)
	if err != nil {
		return relay.StreamState{}, err
	}
	info, err := l.lookAt(ctx)
	if err != nil {
		return relay.StreamState{}, err
	}
	if fresh := newTarget(info.Config, l.target.fast); fresh.maxEvent != l.target.maxEvent {
		l.invalidate() // what was refused for its size may be taken now, and the other way round
	}
	return stateOf(info), nil
}

// Accept implements [relay.Ledger].
func (p *Publisher) Accept(state relay.StreamState) {
	p.baseline.accept(state)
	p.lookAgain.Store(true)
}

// stateOf returns what the relay needs to know of a stream.
func stateOf(info *jsapi.StreamInfo) relay.StreamState {
	return relay.StreamState{
		Stream:          info.Config.Name,
		Incarnation:     info.Created.UTC().Format(time.RFC3339Nano),
		First:           info.State.FirstSeq,
		Last:            info.State.LastSeq,
		Expires:         expires(info),
		Anywhere:        removesAnywhere(info.Config),
		MaxAge:          info.Config.MaxAge,
		DuplicateWindow: info.Config.Duplicates,
	}
}

// expires says which setting of a stream may have removed its first events. A limit of size removes only while it is reached; what
// max_age removes is told by its age.
func expires(info *jsapi.StreamInfo) string {
	const reached = 0.9 // what was removed last may have been large
	cfg, state := info.Config, info.State
	drops := cfg.Discard == jsapi.DiscardOld
	switch {
	case cfg.Retention != jsapi.LimitsPolicy:
		return "consumers remove events (retention " + retentionName(cfg.Retention) + ")"
	case drops && cfg.MaxBytes > 0 && float64(state.Bytes) >= reached*float64(cfg.MaxBytes):
		return fmt.Sprintf("max_bytes %d is reached", cfg.MaxBytes)
	case drops && cfg.MaxMsgs > 0 && float64(state.Msgs) >= reached*float64(cfg.MaxMsgs):
		return fmt.Sprintf("max_msgs %d is reached", cfg.MaxMsgs)
	case cfg.MaxMsgsPerSubject > 0:
		return fmt.Sprintf("max_msgs_per_subject is %d", cfg.MaxMsgsPerSubject)
	case cfg.AllowRollup:
		return "publishers may remove what came before (allow_rollup_hdrs)"
	case cfg.AllowMsgTTL:
		return "messages may have an age limit of their own (allow_msg_ttl)"
	}
	return ""
}

// removesAnywhere tells whether a stream removes messages between others that it keeps.
func removesAnywhere(cfg jsapi.StreamConfig) bool {
	return cfg.Retention != jsapi.LimitsPolicy || cfg.MaxMsgsPerSubject > 0 || cfg.AllowRollup || cfg.AllowMsgTTL
}

// scanPatience is how long a scan waits for the next message before it takes the stream for unavailable.
const scanPatience = 10 * time.Second

// Scan implements [relay.Ledger]. It reads through an ephemeral consumer, for which the user needs the permission to publish to
// $JS.API.CONSUMER.CREATE.<stream>.> and $JS.API.CONSUMER.MSG.NEXT.<stream>.>.
func (p *Publisher) Scan(ctx context.Context, scan relay.Scan, found func(relay.StoredEvent) error) error {
	if scan.First > scan.Last {
		return nil
	}
	l, err := p.ready(ctx)
	if err != nil {
		return err
	}
	ctx, unwatch := l.watchDenied(ctx)
	defer unwatch()
	consumer, err := l.openScan(ctx, scan)
	if err != nil {
		return l.explainScan(ctx, err)
	}
	if info := consumer.CachedInfo(); info != nil && info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jsapi.PullMaxMessages(pullOf(scan)))
	if err != nil {
		return l.explainScan(ctx, err)
	}
	defer messages.Stop()
	for {
		msg, err := next(ctx, messages)
		if err != nil {
			return l.explainScan(ctx, err)
		}
		if more, err := take(msg, scan, found); err != nil || !more {
			return err
		}
	}
}

func (s *session) openScan(ctx context.Context, scan relay.Scan) (jsapi.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	cfg := jsapi.OrderedConsumerConfig{
		HeadersOnly:   !scan.Payloads,
		DeliverPolicy: jsapi.DeliverByStartSequencePolicy,
		OptStartSeq:   max(scan.First, 1),
	}
	if !scan.Since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jsapi.DeliverByStartTimePolicy, 0, &scan.Since
	}
	return s.api.OrderedConsumer(ctx, s.cfg.StreamName, cfg)
}

// pullOf returns how many messages are asked for at once: few where they may be large.
func pullOf(scan relay.Scan) int {
	if scan.Payloads {
		return 256
	}
	return 8192
}

func next(ctx context.Context, messages jsapi.MessagesContext) (jsapi.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, scanPatience)
	defer cancel()
	return messages.Next(jsapi.NextContext(ctx))
}

// take hands a message on if it is an event of the relay's within the scan, and reports whether more can come.
func take(msg jsapi.Msg, scan relay.Scan, found func(relay.StoredEvent) error) (more bool, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return false, fmt.Errorf("read the place of a stored event: %w", err)
	}
	seq := meta.Sequence.Stream
	if seq > scan.Last {
		return false, nil
	}
	if event, ours := storedEvent(msg, meta); ours && seq >= scan.First {
		err = found(event)
	}
	return err == nil && seq < scan.Last && meta.NumPending > 0, err
}

// storedEvent reads an event as the encoder wrote it; ours is false for what others have stored.
func storedEvent(msg jsapi.Msg, meta *jsapi.MsgMetadata) (event relay.StoredEvent, ours bool) {
	header := msg.Headers()
	eventID, err := outbox.ParseID(header.Get(headerID))
	if err != nil {
		return event, false
	}
	id, err := strconv.ParseInt(header.Get(headerSeq), 10, 64)
	if err != nil {
		return event, false
	}
	event = relay.StoredEvent{
		Sequence: meta.Sequence.Stream, ID: id, EventID: eventID, Subject: msg.Subject(), Key: header.Get(headerKey),
		Payload: msg.Data(), StoredAt: meta.Timestamp,
	}
	for name, values := range header {
		if !reserved(name) && len(values) > 0 {
			if event.Headers == nil {
				event.Headers = map[string]string{}
			}
			event.Headers[name] = values[0]
		}
	}
	return event, true
}

// explainScan says why a stream could not be read.
func (s *session) explainScan(ctx context.Context, err error) error {
	var denied *deniedError
	switch code := apiCode(err); {
	case errors.As(context.Cause(ctx), &denied):
		return denied
	case ctx.Err() != nil:
		return ctx.Err()
	case code != 0:
		return s.explainRefusal(err, code)
	}
	return fmt.Errorf("%w: stream %q at %s cannot be read back: %w", relay.ErrUnavailable, s.cfg.StreamName, s.where, err)
}

package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
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

// catchUp is for how long the leader of a replicated stream may describe an older one. A server before 2.11 takes the lead before it has
// applied what the servers have agreed on, which it does when enough of them answer. Where they do not it gives the lead back, after
// 10 s of silence that it looks for every 10 s (lostQuorumInterval and lostQuorumCheck in nats-server's raft.go). Newer ones
// catch up first (aflr there), but the leader may be another server than the one whose version we know.
const catchUp = 25 * time.Second

// stateOf returns what the relay needs to know of a stream.
func stateOf(info *jsapi.StreamInfo) relay.StreamState {
	state := relay.StreamState{
		Stream:          info.Config.Name,
		Incarnation:     info.Created.UTC().Format(time.RFC3339Nano),
		First:           info.State.FirstSeq,
		Last:            info.State.LastSeq,
		Expires:         expires(info),
		Anywhere:        removesAnywhere(info.Config),
		MaxAge:          info.Config.MaxAge,
		DuplicateWindow: info.Config.Duplicates,
	}
	if info.Config.Replicas > 1 && info.Cluster != nil {
		state.Leader, state.CatchUp = info.Cluster.Leader, catchUp
	}
	return state
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

const (
	// scanPatience is how long a scan waits for the next message before it takes the stream for unavailable.
	scanPatience = 10 * time.Second
	// scanTurn is how long a scan leaves the library alone with waiting. The library asks the server for more only when it is called,
	// and does not while it has yet to note that its last request is on its way (nats.go 1.55, pullSubscription.checkPending). Who
	// has taken everything of that request by then would wait for messages that nobody has asked for.
	scanTurn = 100 * time.Millisecond
	// scanLinger is how long the server keeps the consumer of a scan that died.
	scanLinger = 30 * time.Second
)

// Scan implements [relay.Ledger]. It reads through an ephemeral consumer, for which the user needs the permission to publish to
// $JS.API.CONSUMER.CREATE.<stream>.>, $JS.API.CONSUMER.MSG.NEXT.<stream>.> and $JS.API.CONSUMER.DELETE.<stream>.>. A work queue allows no
// such consumer; it is read message by message, for which $JS.API.STREAM.MSG.GET.<stream> or $JS.API.DIRECT.GET.<stream> is
// needed, and what its consumers have taken is not found.
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
	stream, err := l.openStream(ctx)
	if err != nil {
		return l.explainScan(ctx, err)
	}
	if stream.CachedInfo().Config.Retention == jsapi.WorkQueuePolicy {
		return l.scanEach(ctx, stream, scan, found)
	}
	return l.scanConsumer(ctx, stream, scan, found)
}

func (s *session) openStream(ctx context.Context) (jsapi.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	return s.api.Stream(ctx, s.cfg.StreamName)
}

// scanConsumer reads through a consumer that goes away afterwards: a stream may keep what a consumer has not read.
func (s *session) scanConsumer(ctx context.Context, stream jsapi.Stream, scan relay.Scan, found func(relay.StoredEvent) error) error {
	consumer, err := s.openScan(ctx, stream, scan)
	if err != nil {
		return s.explainScan(ctx, err)
	}
	info := consumer.CachedInfo()
	defer s.closeScan(ctx, stream, info.Name)
	if info.NumPending == 0 && scan.Since.IsZero() {
		return s.requireEnd(ctx, stream, max(scan.First, 1)-1, scan.Last)
	}
	if info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jsapi.PullMaxMessages(pullOf(scan)))
	if err != nil {
		return s.explainScan(ctx, err)
	}
	defer messages.Stop()
	for {
		msg, err := next(ctx, messages)
		if err != nil {
			return s.explainScan(ctx, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read the place of a stored event: %w", err)
		}
		at := meta.Sequence.Stream
		if at > scan.Last {
			return nil
		}
		if err := take(stored{at, meta.Timestamp, msg.Subject(), msg.Headers(), msg.Data()}, scan, found); err != nil {
			return err
		}
		if at == scan.Last {
			return nil
		}
		if meta.NumPending == 0 {
			return s.requireEnd(ctx, stream, at, scan.Last)
		}
	}
}

// requireEnd returns an error where the stream holds messages behind the one that a scan has read as the last, up to the end of the scan. The
// consumer is on one of the servers of a replicated stream, and knows what that one has.
func (s *session) requireEnd(ctx context.Context, stream jsapi.Stream, read, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	info, err := stream.Info(ctx, jsapi.WithDeletedDetails(true))
	if err != nil {
		return s.explainScan(ctx, err)
	}
	if left := heldBetween(info.State, read, last); left > 0 {
		return fmt.Errorf("%w: a server of stream %q has yet to catch up: it ends at sequence %d, and %d messages follow up to %d",
			relay.ErrUnavailable, info.Config.Name, read, left, last)
	}
	return nil
}

// heldBetween returns how many messages a stream holds behind one sequence, up to another.
func heldBetween(state jsapi.StreamState, after, last uint64) uint64 {
	first := max(after+1, state.FirstSeq)
	if last < first {
		return 0
	}
	held := last - first + 1
	for _, gone := range state.Deleted {
		if gone >= first && gone <= last {
			held--
		}
	}
	return held
}

func (s *session) openScan(ctx context.Context, stream jsapi.Stream, scan relay.Scan) (jsapi.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	cfg := jsapi.OrderedConsumerConfig{
		HeadersOnly:       !scan.Payloads,
		DeliverPolicy:     jsapi.DeliverByStartSequencePolicy,
		OptStartSeq:       max(scan.First, 1),
		InactiveThreshold: scanLinger,
		MaxResetAttempts:  1, // without a limit, one whose stream is gone is tried for ever
	}
	if !scan.Since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jsapi.DeliverByStartTimePolicy, 0, &scan.Since
	}
	return stream.OrderedConsumer(ctx, cfg)
}

// closeScan removes the consumer. Where that cannot be done, the server removes it a little later.
func (s *session) closeScan(ctx context.Context, stream jsapi.Stream, consumer string) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	_ = stream.DeleteConsumer(ctx, consumer)
}

// pullOf returns how many messages are asked for at once: few where they may be large.
func pullOf(scan relay.Scan) int {
	if scan.Payloads {
		return 256
	}
	return 8192
}

// next waits in turns for the next message.
func next(ctx context.Context, messages jsapi.MessagesContext) (jsapi.Msg, error) {
	for patience := scanPatience; ; patience -= scanTurn {
		msg, err := nextInTurn(ctx, messages)
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || patience <= scanTurn {
			return msg, err
		}
	}
}

func nextInTurn(ctx context.Context, messages jsapi.MessagesContext) (jsapi.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTurn)
	defer cancel()
	return messages.Next(jsapi.NextContext(ctx))
}

// scanEach asks for one message after the other.
func (s *session) scanEach(ctx context.Context, stream jsapi.Stream, scan relay.Scan, found func(relay.StoredEvent) error) error {
	for at := max(scan.First, 1); at <= scan.Last; at++ {
		msg, err := s.getNext(ctx, stream, at)
		switch {
		case errors.Is(err, jsapi.ErrMsgNotFound):
			return nil // nothing is left behind at
		case err != nil:
			return s.explainScan(ctx, err)
		case msg.Sequence > scan.Last:
			return nil
		}
		at = msg.Sequence
		if err := take(stored{at, msg.Time, msg.Subject, msg.Header, msg.Data}, scan, found); err != nil {
			return err
		}
	}
	return nil
}

// getNext returns the first message that the stream still holds at a sequence or behind it.
func (s *session) getNext(ctx context.Context, stream jsapi.Stream, at uint64) (*jsapi.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, scanPatience)
	defer cancel()
	return stream.GetMsg(ctx, at, jsapi.WithGetMsgSubject(">"))
}

// stored is a message as a stream holds it.
type stored struct {
	sequence uint64
	at       time.Time
	subject  string
	header   nats.Header
	data     []byte
}

// take hands a message on if it is an event of the relay's within the scan.
func take(msg stored, scan relay.Scan, found func(relay.StoredEvent) error) error {
	if event, ours := msg.event(); ours && msg.sequence >= scan.First && !msg.at.Before(scan.Since) {
		return found(event)
	}
	return nil
}

// event reads an event as the encoder wrote it; ours is false for what others have stored.
func (m stored) event() (event relay.StoredEvent, ours bool) {
	eventID, err := outbox.ParseID(m.header.Get(headerID))
	if err != nil {
		return event, false
	}
	id, err := strconv.ParseInt(m.header.Get(headerSeq), 10, 64)
	if err != nil {
		return event, false
	}
	event = relay.StoredEvent{
		Sequence: m.sequence, ID: id, EventID: eventID, Subject: m.subject, Key: m.header.Get(headerKey),
		Payload: m.data, StoredAt: m.at,
	}
	for name, values := range m.header {
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

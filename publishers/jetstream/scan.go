package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/gameoutbox/relay/relay"
)

const (
	// scanPatience is how long a scan waits for the next message before it takes the stream for unavailable.
	scanPatience = 10 * time.Second
	// scanLinger is how long the server keeps the consumer of a scan that died.
	scanLinger = 30 * time.Second
	// pullHeaders and pullPayloads are how many messages a scan asks for at once. Those with payloads may be large.
	pullHeaders, pullPayloads = 8192, 256
)

// Scan implements [relay.Ledger]. It reads through an ephemeral consumer, for which the user needs the permission to publish to
// $JS.API.CONSUMER.CREATE.<stream>.>, $JS.API.CONSUMER.MSG.NEXT.<stream>.> and $JS.API.CONSUMER.DELETE.<stream>.>.
//
// Where no consumer may be made, it asks for one message after the other, for which the permission to publish to
// $JS.API.STREAM.MSG.GET.<stream> is needed: a stream or an account whose consumers are as many as its limit allows, a user who may not
// make one, a work queue. Of a work queue it does not find what its consumers have taken.
func (p *Publisher) Scan(ctx context.Context, scan relay.Scan, found func(relay.StoredEvent) error) error {
	if scan.First > scan.Last {
		return nil
	}
	l, err := p.ready(ctx)
	if err != nil {
		return err
	}
	take := func(msg stored) error { return take(msg, scan, found) }
	stream, err := l.openStream(ctx)
	if err != nil {
		return err
	}
	if stream.CachedInfo().Config.Retention == jsapi.WorkQueuePolicy {
		return l.getRange(ctx, stream, scan, take)
	}
	err = l.scanConsumer(ctx, stream, scan, take)
	noConsumer, ok := errors.AsType[*noConsumerError](err)
	if !ok {
		return err
	}
	err = l.getRange(ctx, stream, scan, take)
	if denied, ok := errors.AsType[*deniedError](err); ok {
		return fmt.Errorf("%w; without a consumer it cannot be read either: %w", noConsumer.err, denied)
	}
	return err
}

// noConsumerError says that no consumer can be used. Nothing was read.
type noConsumerError struct{ err error }

func (e *noConsumerError) Error() string { return e.err.Error() }
func (e *noConsumerError) Unwrap() error { return e.err }

func (s *session) openStream(ctx context.Context) (jsapi.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	ctx, unwatch := s.watchDenied(ctx)
	defer unwatch()
	stream, err := s.api.Stream(ctx, s.cfg.StreamName)
	if err != nil {
		return nil, s.explainScan(ctx, err)
	}
	return stream, nil
}

// scanConsumer reads through a consumer that goes away afterwards: a stream may keep what a consumer has not read.
func (l *link) scanConsumer(ctx context.Context, stream jsapi.Stream, scan relay.Scan, take func(stored) error) error {
	ctx, unwatch := l.watchDenied(ctx)
	defer unwatch()
	info, err := l.openConsumer(ctx, stream, scan)
	if err != nil {
		return err
	}
	defer l.closeConsumer(ctx, stream, info.Name)
	read := max(scan.First, 1) - 1
	if info.NumPending > 0 {
		pull := newPull(l, info, scan)
		defer pull.close()
		read, err = pull.run(ctx, scan.Last, take)
		switch {
		case err != nil && read == 0 && errors.As(err, new(*deniedError)):
			return &noConsumerError{err}
		case err != nil:
			return err
		}
	} else if !scan.Since.IsZero() {
		return nil
	}
	if read >= scan.Last {
		return nil
	}
	return l.requireEnd(ctx, stream, read, scan.Last)
}

// openConsumer makes the consumer of a scan.
func (l *link) openConsumer(ctx context.Context, stream jsapi.Stream, scan relay.Scan) (*jsapi.ConsumerInfo, error) {
	once, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	cfg := jsapi.ConsumerConfig{
		Name:              "outbox-" + nuid.Next(),
		AckPolicy:         jsapi.AckNonePolicy,
		HeadersOnly:       !scan.Payloads,
		DeliverPolicy:     jsapi.DeliverByStartSequencePolicy,
		OptStartSeq:       max(scan.First, 1),
		InactiveThreshold: scanLinger,
		MemoryStorage:     true,
		Replicas:          1,
	}
	if !scan.Since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jsapi.DeliverByStartTimePolicy, 0, &scan.Since
	}
	consumer, err := stream.CreateConsumer(once, cfg)
	switch code := apiCode(err); {
	case err == nil:
		return consumer.CachedInfo(), nil
	case code == codeStreamNotFound:
	case code != 0 || errors.As(context.Cause(once), new(*deniedError)):
		return nil, &noConsumerError{l.explainScan(once, err)}
	}
	return nil, l.explainScan(once, err)
}

// closeConsumer removes the consumer. Where that cannot be done, the server removes it a little later.
func (l *link) closeConsumer(ctx context.Context, stream jsapi.Stream, consumer string) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	_ = stream.DeleteConsumer(ctx, consumer)
}

// pull reads through a consumer. It speaks to the server itself: a stored message is told from a word of the server by its reply subject,
// whatever headers it has. The client library takes the header Status of a message without data for a word of the server, and drops the
// message.
type pull struct {
	link     *link
	subject  string // of requests
	size     int    // messages a request
	inbox    string
	messages chan *nats.Msg
	sub      *nats.Subscription
	last     uint64 // the consumer's number of the last message
}

func newPull(l *link, info *jsapi.ConsumerInfo, scan relay.Scan) *pull {
	size := pullHeaders
	if scan.Payloads {
		size = pullPayloads
	}
	return &pull{
		link: l, size: size, inbox: l.nc.NewInbox(),
		subject: l.cfg.apiPrefix() + ".CONSUMER.MSG.NEXT." + info.Stream + "." + info.Name,
		// Room for what was asked for and the server's word after it. What finds no room would be dropped.
		messages: make(chan *nats.Msg, size+16),
	}
}

// run reads up to a sequence, and returns the sequence of the last message that it has read.
func (p *pull) run(ctx context.Context, last uint64, take func(stored) error) (read uint64, err error) {
	if p.sub, err = p.link.nc.ChanSubscribe(p.inbox, p.messages); err != nil {
		return 0, p.link.explainScan(ctx, err)
	}
	for due := 0; ; due-- {
		if due == 0 {
			if err := p.request(); err != nil {
				return read, p.link.explainScan(ctx, err)
			}
			due = p.size
		}
		msg, err := p.link.await(ctx, p.messages)
		if err != nil {
			return read, err
		}
		meta, err := p.metadata(msg)
		switch {
		case err != nil:
			return read, err
		case meta == nil: // nothing more is stored
			return read, nil
		case meta.Sequence.Stream > last:
			return last, nil
		case meta.Sequence.Stream <= read:
			return read, p.link.unreadable(fmt.Errorf("sequence %d came after %d", meta.Sequence.Stream, read))
		}
		read = meta.Sequence.Stream
		if err := take(stored{read, meta.Timestamp, msg.Subject, msg.Header, msg.Data}); err != nil {
			return read, err
		}
		if read == last || meta.NumPending == 0 {
			return read, nil
		}
	}
}

func (p *pull) request() error {
	return p.link.nc.PublishRequest(p.subject, p.inbox, fmt.Appendf(nil, `{"batch":%d,"no_wait":true}`, p.size))
}

// metadata returns the place of a stored message, or nil for the word that there is none.
func (p *pull) metadata(msg *nats.Msg) (*nats.MsgMetadata, error) {
	if !strings.HasPrefix(msg.Reply, "$JS.ACK.") {
		const none, fewer = "404", "408"
		if status := msg.Header.Get("Status"); status != none && status != fewer {
			return nil, p.link.unreadable(fmt.Errorf("the server ended the consumer: %s %s", status, msg.Header.Get("Description")))
		}
		return nil, nil //nolint:nilnil // as the comment says
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, p.link.unreadable(fmt.Errorf("read the place of a stored event: %w", err))
	}
	if meta.Sequence.Consumer != p.last+1 {
		return nil, p.link.unreadable(fmt.Errorf("messages %d to %d of the consumer did not arrive", p.last+1, meta.Sequence.Consumer))
	}
	p.last++
	return meta, nil
}

func (p *pull) close() {
	if p.sub != nil {
		_ = p.sub.Unsubscribe()
	}
}

// await waits for a message to a scan.
func (l *link) await(ctx context.Context, messages <-chan *nats.Msg) (*nats.Msg, error) {
	select { // without a timer for each message
	case msg := <-messages:
		return msg, nil
	default:
	}
	timer := time.NewTimer(scanPatience)
	defer timer.Stop()
	select {
	case msg := <-messages:
		return msg, nil
	case <-l.down:
		return nil, l.unreadable(nats.ErrDisconnected)
	case <-ctx.Done():
		return nil, l.explainScan(ctx, ctx.Err())
	case <-timer.C:
		return nil, l.unreadable(fmt.Errorf("no message within %s", scanPatience))
	}
}

// requireEnd returns an error where the stream holds messages after the one that a scan has read as the last, up to the end of the scan. The
// consumer is on one of the servers of a replicated stream, and knows what that one has.
func (l *link) requireEnd(ctx context.Context, stream jsapi.Stream, read, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	info, err := stream.Info(ctx, jsapi.WithDeletedDetails(true))
	if err != nil {
		return l.explainScan(ctx, err)
	}
	if left := heldBetween(info.State, read, last); left > 0 {
		return fmt.Errorf("%w: a server of stream %q has yet to catch up: it ends at sequence %d, and %d messages follow up to %d",
			relay.ErrUnavailable, info.Config.Name, read, left, last)
	}
	return nil
}

// heldBetween returns how many messages a stream holds after one sequence, up to another.
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
	return s.unreadable(err)
}

// unreadable is the error of a stream that could not be read now.
func (s *session) unreadable(err error) error {
	return fmt.Errorf("%w: stream %q at %s cannot be read back: %w", relay.ErrUnavailable, s.cfg.StreamName, s.where, err)
}

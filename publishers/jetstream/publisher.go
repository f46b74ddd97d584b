package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/publishers/internal/trouble"
	"github.com/gameoutbox/relay/relay"
)

// Publisher stores events in a JetStream stream. Make one with [New].
type Publisher struct {
	cfg Config
	log *zap.Logger

	gate    chan struct{} // held while connecting and while looking at the stream; it guards the next three
	session *session      // nil before the first connection
	trouble trouble.Trouble
	attempt attempt

	sizes     sizes
	baseline  baseline
	lookAgain atomic.Bool // a state was accepted, so the next Publish looks at the stream
	holds     bool        // see HoldKeys

	changed chan struct{}      // the connection was lost or made
	ctx     context.Context    // ends with Close
	cancel  context.CancelFunc //
	keeping sync.WaitGroup
	start   sync.Once
}

// attempt is the last one to make the stream ready.
type attempt struct {
	err error
	at  time.Time // when it ended
}

var (
	_ relay.Publisher = (*Publisher)(nil)
	_ relay.Connector = (*Publisher)(nil)
	_ relay.KeyHolder = (*Publisher)(nil)
	_ relay.Ledger    = (*Publisher)(nil)
)

// New returns a publisher for valid settings, see [Config.Validate]. It does not use the network yet.
func New(cfg Config, log *zap.Logger) (*Publisher, error) {
	if cfg.NATSURL == "" {
		return nil, errors.New("nats_url is empty: there is no NATS to publish to")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{cfg: cfg, log: log, gate: make(chan struct{}, 1), changed: make(chan struct{}, 1), trouble: trouble.Trouble{Name: "NATS JetStream"}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Name implements [relay.Publisher].
func (p *Publisher) Name() string { return "jetstream" }

// HoldKeys implements [relay.KeyHolder].
func (p *Publisher) HoldKeys() { p.holds = true }

// Connect connects, and creates or checks the stream, within connect_timeout. An error wraps [relay.ErrUnavailable] or
// [relay.ErrMisconfigured], or is that of ctx; the publisher can be used nevertheless, for it keeps trying in the background
// and at each Publish. Without Connect, the first Publish connects.
func (p *Publisher) Connect(ctx context.Context) error {
	_, err := p.ready(ctx)
	return err
}

// Publish implements [relay.Publisher].
//
// A refusal that the server would give is found out before anything is sent, where that is possible. An event that is refused
// ends neither the batch nor the call: the events after it are sent in the same call, except those of its key when the
// refusal is not for good. An event whose subject the stream does not capture, or that the NATS user may not publish, has
// an [relay.ErrMisconfigured] of its own.
//
// The sequence of an event of a batch is that of the end of the batch. Where the stream knew an id of
// the batch, or may have, the events are sent once more, singly, and all of them are duplicates then,
// with their own sequences.
func (p *Publisher) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	outcomes := make([]relay.Outcome, len(events))
	if err := ctx.Err(); err != nil || len(events) == 0 {
		return outcomes, err
	}
	l, err := p.ready(ctx)
	if err != nil {
		return outcomes, err
	}
	if err := p.baseline.check(l.target); err != nil {
		return outcomes, err
	}
	// The client holds its lock while it writes to a server that does not read.
	stop := context.AfterFunc(ctx, l.dialer.interrupt)
	defer stop()
	l.dialer.begin(ctx)
	defer func() { l.dialer.end(err == nil) }()
	c := newCall(ctx, l, events, outcomes)
	c.holds = p.holds
	c.before = p.baseline.last()
	c.end = max(p.baseline.reached(), l.target.state.Last)
	c.ceiling = c.end + uint64(len(events)) + reachable
	err = c.send(ctx)
	c.keep()
	if p.baseline.raise(c.highest); c.rewound {
		l.invalidate() // the next call finds out
		p.baseline.doubt()
	}
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	return outcomes, err
}

// Close implements [relay.Publisher]. It may be called more than once; when ctx ends, the connection is broken off. A Publish
// after it returns an error that wraps [relay.ErrUnavailable].
func (p *Publisher) Close(ctx context.Context) error {
	p.cancel()
	p.keeping.Wait()
	p.gate <- struct{}{} // soon free: whoever holds it has a context that ended
	defer func() { <-p.gate }()
	if p.session != nil {
		p.session.close(ctx)
	}
	return nil
}

// ready returns the way to the stream, connecting and looking at the stream as far as that is needed, within
// connect_timeout. It does not repeat an attempt that failed while it waited for its turn.
func (p *Publisher) ready(ctx context.Context) (*link, error) {
	asked := time.Now()
	select {
	case p.gate <- struct{}{}:
		defer func() { <-p.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.start.Do(p.keep)
	if p.attempt.err != nil && p.attempt.at.After(asked) {
		return nil, p.attempt.err
	}
	l, err := p.reach(ctx)
	switch {
	case p.ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", relay.ErrUnavailable, errClosed)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	p.attempt = attempt{err: err, at: time.Now()}
	p.trouble.Note(p.log, err, p.attempt.at)
	return l, err
}

func (p *Publisher) reach(ctx context.Context) (*link, error) {
	if p.session != nil {
		if p.lookAgain.Swap(false) {
			p.session.invalidate()
		}
		if l := p.session.current(); l != nil {
			return l, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	if p.session != nil && p.session.isGone() {
		p.session.close(ctx)
		p.session = nil
	}
	if p.session == nil {
		session, err := open(ctx, p.cfg, p.log, p.notify)
		if err != nil {
			return nil, err
		}
		session.sizes = &p.sizes
		p.session = session
	}
	return p.session.ready(ctx)
}

// notify never blocks.
func (p *Publisher) notify() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

const (
	keepPauseMin = 250 * time.Millisecond
	keepPauseMax = 5 * time.Second
)

// keep makes the stream ready in the background whenever the connection changed, so that a relay without events
// heals and tells so too.
func (p *Publisher) keep() {
	p.notify()
	p.keeping.Go(func() {
		for {
			select {
			case <-p.ctx.Done():
				return
			case <-p.changed:
				p.keepTrying()
			}
		}
	})
}

func (p *Publisher) keepTrying() {
	defer trouble.Contain(p.log, "make the stream ready")
	for pause := keepPauseMin; ; pause = min(2*pause, keepPauseMax) {
		if _, err := p.ready(p.ctx); err == nil {
			return
		}
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

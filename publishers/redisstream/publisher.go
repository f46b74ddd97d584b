package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/publishers/internal/trouble"
	"github.com/gameoutbox/relay/relay"
)

// Publisher stores events in a Redis Stream. Make one with [New].
type Publisher struct {
	cfg Config
	log *zap.Logger

	gate    chan struct{} // held while looking at the server; it guards the next three
	session *session      // nil before the first look
	trouble trouble.Trouble
	attempt attempt

	baseline baseline
	holds    bool // see HoldKeys
	warnings warnings

	changed chan struct{}      // something failed
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
	_ relay.Warner    = (*Publisher)(nil)
)

// Name is the broker's name, which receipts carry.
const Name = "redis"

// New returns a publisher for valid settings, see [Config.Validate]. It does not use the network yet.
func New(cfg Config, log *zap.Logger) (*Publisher, error) {
	if cfg.Host == "" {
		return nil, errors.New("host is empty: there is no Redis to publish to")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{cfg: cfg, log: log, gate: make(chan struct{}, 1), changed: make(chan struct{}, 1), trouble: trouble.Trouble{Name: "Redis Stream"}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Name implements [relay.Publisher].
func (p *Publisher) Name() string { return Name }

// Warnings implements [relay.Warner].
func (p *Publisher) Warnings() []string { return p.warnings.all() }

// HoldKeys implements [relay.KeyHolder].
func (p *Publisher) HoldKeys() { p.holds = true }

// Connect connects, and asks the server whether it would store events, within connect_timeout. An error wraps
// [relay.ErrUnavailable] or [relay.ErrMisconfigured], is a [*relay.ThrottledError], or is that of ctx; the publisher can be
// used nevertheless, for it keeps trying in the background and at each Publish. Without Connect, the first Publish connects.
func (p *Publisher) Connect(ctx context.Context) error {
	_, err := p.ready(ctx, true)
	return err
}

// Publish implements [relay.Publisher].
//
// The events go to the server in parts of up to 512, each the work of one script, which the server does as a whole. A part is refused
// when the part before it was not stored, so what is stored is the beginning of the batch. An event that the server
// refuses for a reason of its own ends neither the batch nor the call: the events after it are sent in the same call, except
// those of its key. Duplicate and Sequence are known of every stored event; see [Config].DedupWindow for how long.
func (p *Publisher) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	outcomes := make([]relay.Outcome, len(events))
	if err := ctx.Err(); err != nil || len(events) == 0 {
		return outcomes, err
	}
	s, err := p.ready(ctx, false)
	if err != nil {
		return outcomes, err
	}
	stop := context.AfterFunc(ctx, s.sender.dialer.interrupt)
	defer stop()
	s.sender.dialer.begin(ctx)
	defer s.sender.dialer.end()
	c := newCall(s, &p.baseline, events, outcomes)
	c.holds = p.holds
	err = c.send(ctx)
	if err != nil {
		p.notify()
	}
	if over := ended(ctx); over != nil && err != nil {
		err = over
	}
	return outcomes, err
}

// ended returns the error of a context that ended. A connection that has the deadline of the context may notice it first.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// Close implements [relay.Publisher]. It may be called more than once, and waits for nobody. A Publish after it returns an error
// that wraps [relay.ErrUnavailable].
func (p *Publisher) Close(context.Context) error {
	p.cancel()
	p.keeping.Wait()
	p.gate <- struct{}{} // soon free: whoever holds it has a connection that was broken
	defer func() { <-p.gate }()
	if p.session == nil {
		return nil
	}
	s := p.session
	p.session = nil
	return s.close()
}

// ready returns a session whose server was looked at: just now if that is asked, else since the last failure. It takes
// connect_timeout at most, and does not repeat an attempt that failed while it waited for its turn.
func (p *Publisher) ready(ctx context.Context, again bool) (*session, error) {
	asked := time.Now()
	select {
	case p.gate <- struct{}{}:
		defer func() { <-p.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.ctx.Err() != nil {
		return nil, closed()
	}
	p.start.Do(p.keep)
	if p.attempt.err != nil && p.attempt.at.After(asked) {
		return nil, p.attempt.err
	}
	if p.session != nil && p.session.refused.Load() {
		_ = p.session.close() // its connections are of no use any more
		p.session = nil
	}
	if p.session == nil {
		cfg, err := p.cfg.fresh()
		if err != nil {
			return nil, p.failed(err)
		}
		p.session = open(cfg, p.log, rand.Text()[:8])
		p.session.warnings = &p.warnings
	}
	if p.session.fit.Load() && !again {
		return p.session, nil
	}
	return p.reach(ctx)
}

// reach looks at the server.
func (p *Publisher) reach(ctx context.Context) (*session, error) {
	bounded, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	// The client library looks at the deadline of a context alone.
	defer context.AfterFunc(ctx, p.session.looker.dialer.interrupt)()
	defer context.AfterFunc(p.ctx, p.session.looker.dialer.interrupt)()
	err := p.session.ready(bounded)
	switch {
	case p.ctx.Err() != nil:
		return nil, closed()
	case ended(ctx) != nil:
		return nil, ended(ctx)
	}
	if err != nil {
		return nil, p.failed(err)
	}
	p.attempt = attempt{at: time.Now()}
	p.trouble.Note(p.log, nil, p.attempt.at)
	return p.session, nil
}

// failed notes an attempt that failed, and returns its error.
func (p *Publisher) failed(err error) error {
	p.attempt = attempt{err: err, at: time.Now()}
	p.trouble.Note(p.log, err, p.attempt.at)
	p.notify()
	return err
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

// keep looks at the server in the background after each failure, until it is ready again, so that a relay without events
// heals and tells so too.
func (p *Publisher) keep() {
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
		if _, err := p.ready(p.ctx, false); err == nil {
			return
		}
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

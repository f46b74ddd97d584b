package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// Publisher stands for two brokers. Make one with [New].
type Publisher struct {
	log      *zap.Logger
	now      func() time.Time
	primary  *side
	fallback *side
	rehome   bool

	mu      sync.Mutex
	machine machine
	inUse   *side           // what Use has returned
	session context.Context // of the last Wait; nil before the first
	due     chan struct{}   // closed while that is not what was decided
	begun   bool            // the first connection was tried

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	probing sync.WaitGroup
	start   sync.Once
}

var (
	_ relay.Publisher = (*Publisher)(nil)
	_ relay.Connector = (*Publisher)(nil)
	_ relay.KeyHolder = (*Publisher)(nil)
	_ relay.Switcher  = (*Publisher)(nil)
	_ relay.Warner    = (*Publisher)(nil)
)

// New returns a publisher for valid settings, see [Config.Validate], which closes both brokers when it is closed. It does not use the
// network yet.
func New(cfg Config, primary, fallback relay.Publisher, log *zap.Logger) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if primary.Name() == fallback.Name() {
		return nil, fmt.Errorf("primary and fallback are both %q: their receipts could not be told apart", primary.Name())
	}
	p := &Publisher{log: log, now: time.Now, rehome: cfg.Rehome, due: make(chan struct{})}
	p.primary = &side{Publisher: primary, pair: p}
	p.fallback = &side{Publisher: fallback, pair: p, isFallback: true}
	p.inUse = p.primary
	p.machine = machine{cfg: cfg, primary: primary.Name(), fallback: fallback.Name(), since: p.now()}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Name implements [relay.Publisher]: it is the name of the primary.
func (p *Publisher) Name() string { return p.primary.Name() }

// Publish implements [relay.Publisher]: it publishes to the broker that [Publisher.Use] returned last.
func (p *Publisher) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	p.mu.Lock()
	used := p.inUse
	p.mu.Unlock()
	return used.Publish(ctx, events)
}

// Close implements [relay.Publisher]. It closes both brokers.
func (p *Publisher) Close(ctx context.Context) error {
	p.cancel()
	p.probing.Wait()
	return errors.Join(p.primary.Close(ctx), p.fallback.Close(ctx))
}

// HoldKeys implements [relay.KeyHolder].
func (p *Publisher) HoldKeys() {
	for _, each := range []*side{p.primary, p.fallback} {
		if holder, ok := each.Publisher.(relay.KeyHolder); ok {
			holder.HoldKeys()
		}
	}
}

// Warnings implements [relay.Warner]: they are those of both brokers.
func (p *Publisher) Warnings() (all []string) {
	for _, each := range []*side{p.primary, p.fallback} {
		if warner, ok := each.Publisher.(relay.Warner); ok {
			all = append(all, warner.Warnings()...)
		}
	}
	return all
}

// Connect implements [relay.Connector]: it makes the first connection to the primary, whose error it returns. If the primary is
// unavailable, the fallback is the broker to begin with, without the wait of failover.after, for nobody knows how long the outage has
// lasted. Is the fallback out too, then whichever is healthy first is used.
func (p *Publisher) Connect(ctx context.Context) error {
	p.mu.Lock()
	p.begun = true
	p.mu.Unlock()
	began := p.now()
	err := p.primary.connect(ctx)
	if errors.Is(err, relay.ErrUnavailable) && ctx.Err() == nil {
		p.log.Warn("failed to connect NATS, trying Redis Stream", zap.Error(err))
		p.update(func(m *machine) { m.missing(began, err) })
		p.fallback.note(look, p.fallback.probe(ctx, true))
	}
	p.watch()
	return err
}

// Use implements [relay.Switcher]. The first one connects, if that was not done before.
func (p *Publisher) Use(ctx context.Context) relay.Publisher {
	p.mu.Lock()
	begun := p.begun
	p.mu.Unlock()
	if !begun {
		_ = p.Connect(ctx) // which broker is used is decided, and the publishers have logged what is wrong
	}
	p.watch()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse = p.choice()
	p.ring()
	return p.inUse.use()
}

// Wait implements [relay.Switcher].
func (p *Publisher) Wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	p.mu.Lock()
	due := p.due
	p.session = ctx
	p.mu.Unlock()
	select {
	case <-due:
		return fmt.Errorf("%w: %s", relay.ErrSwitched, p.Failover().Reason)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Rehome implements [relay.Switcher].
func (p *Publisher) Rehome() string {
	if !p.rehome {
		return ""
	}
	return p.fallback.Name()
}

// Failover implements [relay.Switcher].
func (p *Publisher) Failover() relay.FailoverStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &p.machine
	return relay.FailoverStatus{
		Primary: m.primary, Fallback: m.fallback, OnFallback: m.onFallback, Since: m.since.UTC(), Reason: m.reason,
	}
}

// decided returns the broker that is to be used.
func (p *Publisher) decided() *side {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.choice()
}

// choice needs the lock.
func (p *Publisher) choice() *side {
	if p.machine.onFallback {
		return p.fallback
	}
	return p.primary
}

// update gives the machine news, and passes its decision on.
func (p *Publisher) update(news func(*machine)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.machine.onFallback
	news(&p.machine)
	if p.machine.onFallback == before {
		return
	}
	p.ring()
	fields := []zap.Field{zap.String("broker", p.choice().Name()), zap.String("reason", p.machine.reason)}
	if p.machine.onFallback {
		p.log.Warn("events go to the fallback from now on", fields...)
		return
	}
	p.log.Info("events go to the primary again", fields...)
}

// ring wakes those who wait for a switch, if there is one. It needs the lock.
func (p *Publisher) ring() {
	rung := false
	select {
	case <-p.due:
		rung = true
	default:
	}
	switch due := p.choice() != p.inUse; {
	case due && !rung:
		close(p.due)
	case !due && rung:
		p.due = make(chan struct{})
	}
}

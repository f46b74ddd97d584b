package failover

import (
	"context"
	"time"

	"github.com/gameoutbox/relay/publishers/internal/trouble"
)

// probeInterval is the pause between two looks at the brokers.
const probeInterval = time.Second

// watch begins to look at the brokers in the background, once.
func (p *Publisher) watch() {
	p.start.Do(func() {
		p.probing.Go(func() {
			// What is wrong with the fallback shows before it is needed: its publisher logs it.
			_ = p.fallback.probe(p.ctx, true)
			ticker := time.NewTicker(probeInterval)
			defer ticker.Stop()
			for {
				select {
				case <-p.ctx.Done():
					return
				case <-ticker.C:
					p.tick(p.ctx)
				}
			}
		})
	})
}

// tick looks at the brokers once, as far as a decision may depend on it.
func (p *Publisher) tick(ctx context.Context) {
	defer trouble.Contain(p.log, "look at the brokers")
	if p.decided() == p.fallback {
		p.lookForPrimary(ctx)
		return
	}
	var known outage
	p.update(func(m *machine) { known = m.outage })
	if !known.publishes { // a look could not end it
		_ = p.primary.noted(ctx, p.primary.probe(ctx, known.begun()))
	}
	out := false
	p.update(func(m *machine) { out = m.primaryIsOut(p.now()) })
	if out {
		_ = p.fallback.noted(ctx, p.fallback.probe(ctx, true))
	}
}

// lookForPrimary finds out whether the primary can be used again.
func (p *Publisher) lookForPrimary(ctx context.Context) {
	err := p.primary.probe(ctx, true)
	if err == nil {
		err = p.prove(ctx)
	}
	if isOver(ctx, err) {
		return
	}
	back := false
	p.update(func(m *machine) {
		m.primaryAnswered(p.now(), look, err)
		back = m.primaryIsBack()
	})
	var fallback error
	if back {
		fallback = p.fallback.probe(ctx, true)
		_ = p.fallback.noted(ctx, fallback)
	}
	p.update(func(m *machine) { m.decide(p.now(), fallback) })
}

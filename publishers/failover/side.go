package failover

import (
	"context"
	"fmt"
	"sync"

	"github.com/gameoutbox/relay/relay"
)

// side is one of the two brokers as the relay gets it: every answer is noted, and nothing is sent once the other is to be used.
type side struct {
	relay.Publisher
	pair       *Publisher
	isFallback bool
	publishing sync.Mutex // held while Publish runs, for a trial of the primary publishes too
}

// ledgerSide is a broker that can be read back.
type ledgerSide struct {
	*side
	ledger relay.Ledger
}

var (
	_ relay.Connector = (*side)(nil)
	_ relay.Ledger    = (*ledgerSide)(nil)
)

// use returns the side with as many of the optional interfaces as its broker has.
func (s *side) use() relay.Publisher {
	if ledger, ok := s.Publisher.(relay.Ledger); ok {
		return &ledgerSide{side: s, ledger: ledger}
	}
	return s
}

// Publish implements [relay.Publisher].
func (s *side) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if err := s.check(); err != nil {
		return make([]relay.Outcome, len(events)), err
	}
	began := s.pair.now()
	outcomes, err := s.Publisher.Publish(ctx, events)
	if isOver(ctx, err) {
		return outcomes, err
	}
	s.pair.update(func(m *machine) {
		if s.isFallback {
			m.fallbackPublished(s.pair.now(), events, outcomes, err)
			return
		}
		m.primaryPublished(began, s.pair.now(), events, outcomes, err)
	})
	return outcomes, err
}

// Connect implements [relay.Connector].
func (s *side) Connect(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.noted(ctx, s.connect(ctx))
}

// connect asks the broker itself. One that is no connector has nothing that could be asked.
func (s *side) connect(ctx context.Context) error {
	if connector, ok := s.Publisher.(relay.Connector); ok {
		return connector.Connect(ctx)
	}
	return nil
}

// probe asks the broker for its health. With thorough it is not content with what the client knows of its connection.
func (s *side) probe(ctx context.Context, thorough bool) error {
	err := s.connect(ctx)
	ledger, ok := s.Publisher.(relay.Ledger)
	if err != nil || !ok || !thorough {
		return err
	}
	_, err = ledger.Inspect(ctx)
	return err
}

// Inspect implements [relay.Ledger].
func (s *ledgerSide) Inspect(ctx context.Context) (relay.StreamState, error) {
	if err := s.check(); err != nil {
		return relay.StreamState{}, err
	}
	state, err := s.ledger.Inspect(ctx)
	return state, s.noted(ctx, err)
}

// Accept implements [relay.Ledger].
func (s *ledgerSide) Accept(state relay.StreamState) {
	s.ledger.Accept(state)
	s.note(session, nil)
}

// Scan implements [relay.Ledger].
func (s *ledgerSide) Scan(ctx context.Context, scan relay.Scan, found func(relay.StoredEvent) error) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.ledger.Scan(ctx, scan, found) // its error may be that of found
}

// check returns an error once the other broker is to be used.
func (s *side) check() error {
	if used := s.pair.decided(); used != s {
		return fmt.Errorf("%w: %s instead of %s", relay.ErrSwitched, used.Name(), s.Name())
	}
	return nil
}

// noted notes the answer to a question, and returns it.
func (s *side) noted(ctx context.Context, err error) error {
	if !isOver(ctx, err) {
		s.note(look, err)
	}
	return err
}

func (s *side) note(from source, err error) {
	s.pair.update(func(m *machine) {
		if s.isFallback {
			m.fallbackAnswered(s.pair.now(), err)
			return
		}
		m.primaryAnswered(s.pair.now(), from, err)
	})
}

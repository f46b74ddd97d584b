package main

import (
	"errors"
	"fmt"
	"sync"
)

// starting decides when a start has failed: once no source can be served before a person changes
// something. A cause that may pass, such as a database that is not up yet, is waited for. After one
// source has begun the relay stays, for that one's sake.
type starting struct {
	sources []*source

	mu    sync.Mutex
	begun bool
	stuck []error // by source, why it cannot be served before a person changes something; nil for no such cause
}

func newStarting(sources []*source) *starting {
	return &starting{sources: sources, stuck: make([]error, len(sources))}
}

// tried notes how the last attempt of a source to begin went. It returns an error when the start
// has failed.
func (s *starting) tried(source int, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = s.begun || err == nil
	s.stuck[source] = nil
	if f := (*failure)(nil); err != nil && (!errors.As(err, &f) || !f.passes) {
		s.stuck[source] = err
	}
	if s.begun {
		return nil
	}
	for _, err := range s.stuck {
		if err == nil {
			return nil
		}
	}
	return s.failed()
}

// failed is the failure of a start: that of the only source, or of all of them with the next step
// for the first.
func (s *starting) failed() error {
	if len(s.stuck) == 1 {
		return s.stuck[0]
	}
	all := &failure{what: fmt.Sprintf("none of the %d sources can be served", len(s.stuck))}
	for i, err := range s.stuck {
		all.cause = errors.Join(all.cause, fmt.Errorf("%s: %w", s.sources[i].settings.Source, err))
		if f := (*failure)(nil); all.next == "" && errors.As(err, &f) {
			all.value, all.next = f.value, f.next
		}
	}
	return all
}

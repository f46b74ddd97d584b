package admin

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const (
	// scrapeAge is how old the metrics of an answer may be. Whoever asks within it gets the same
	// ones.
	scrapeAge = 250 * time.Millisecond
	// maxScrapes is how many answers with metrics are written at once; further ones are refused
	// with 503.
	maxScrapes = 8
)

// shared is a gatherer whose work serves everybody who asks at the same time, or a moment later.
type shared struct {
	from prometheus.Gatherer

	mu       sync.Mutex // held while gathering, so that the others wait for the result
	at       time.Time
	families []*dto.MetricFamily // never changed
	err      error
}

// Gather implements [prometheus.Gatherer].
func (s *shared) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || time.Since(s.at) >= scrapeAge {
		s.families, s.err = s.from.Gather()
		s.at = time.Now()
	}
	return s.families, s.err
}

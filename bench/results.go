package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// result is everything that was measured of one column of one case.
type result struct {
	Scenario string    `json:"scenario"`
	Case     string    `json:"case"`
	Metric   string    `json:"metric"`
	Unit     string    `json:"unit"`
	Median   float64   `json:"median"`
	Values   []float64 `json:"values"` // one a pass, in order
}

// results is what a run measured.
type results struct {
	all      []*result
	failures []error
}

func newResults() *results { return &results{} }

func (r *results) add(s *scenario, name string, values sample) {
	for _, col := range s.columns {
		v, ok := values[col.name]
		if !ok {
			continue
		}
		found := r.find(s.name, name, col.name)
		if found == nil {
			found = &result{Scenario: s.name, Case: name, Metric: col.name, Unit: col.unit}
			r.all = append(r.all, found)
		}
		found.Values = append(found.Values, v)
		found.Median = median(found.Values)
	}
}

func (r *results) find(scenario, name, metric string) *result {
	i := slices.IndexFunc(r.all, func(x *result) bool { return x.Scenario == scenario && x.Case == name && x.Metric == metric })
	if i < 0 {
		return nil
	}
	return r.all[i]
}

// median returns the median of what was measured; ok is false if nothing was.
func (r *results) median(scenario, name, metric string) (value float64, ok bool) {
	if found := r.find(scenario, name, metric); found != nil {
		return found.Median, true
	}
	return 0, false
}

func (r *results) fail(err error) { r.failures = append(r.failures, err) }

// failure returns what went wrong, which makes the whole run fail at its end.
func (r *results) failure() error { return errors.Join(r.failures...) }

func writeJSON(path string, about machine, r *results) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		Machine machine   `json:"machine"`
		Results []*result `json:"results"`
	}{about, r.all}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the values: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // figures are for everybody
		return fmt.Errorf("write the values: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil { //nolint:gosec // as above
		return fmt.Errorf("write the values: %w", err)
	}
	return nil
}

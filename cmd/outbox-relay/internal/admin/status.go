package admin

import (
	"fmt"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// Source is one database that a relay serves.
type Source struct {
	// Name is the name of the source in the configuration.
	Name string
	// Relay tells what is done for it. It is asked by several requests at once and must not block.
	Relay interface{ Status() relay.Status }
}

// SourceStatus is the status of one source.
type SourceStatus struct {
	Source string `json:"source"`
	relay.Status
}

// Status is what the server answers at [StatusPath].
type Status struct {
	// Ready says that at least one source is served. That others are not is no reason to take a sidecar out of service, or to hold up a
	// deploy: the next copy could not serve them either.
	Ready    bool           `json:"ready"`
	NotReady string         `json:"not_ready,omitempty"` // which sources are not served, and why; Ready may be true nevertheless
	Sources  []SourceStatus `json:"sources"`             // in the order of the configuration
}

// shownSources is how many sources a sentence names.
const shownSources = 5

// statusOf asks every source.
func statusOf(sources []Source) Status {
	s := Status{Sources: make([]SourceStatus, 0, len(sources))}
	var not []string
	for _, each := range sources {
		status := SourceStatus{Source: each.Name, Status: each.Relay.Status()}
		s.Ready = s.Ready || status.Ready
		if !status.Ready {
			not = append(not, each.Name+": "+status.NotReady)
		}
		s.Sources = append(s.Sources, status)
	}
	if len(sources) == 1 {
		s.NotReady = s.Sources[0].NotReady
		return s
	}
	s.NotReady = some(not, "; ")
	return s
}

// Of returns the status of a source; nil if the relay does not serve it.
func (s Status) Of(source string) *relay.Status {
	for i := range s.Sources {
		if s.Sources[i].Source == source {
			return &s.Sources[i].Status
		}
	}
	return nil
}

// verdict says in one line for a probe whether the relay is ready.
func (s Status) verdict() string {
	if !s.Ready {
		return "not ready: " + s.NotReady
	}
	ready, onFallback, fallback := 0, []string(nil), ""
	var blocked []string
	for _, each := range s.Sources {
		if each.Ready {
			ready++
		}
		if each.Blocked != nil {
			blocked = append(blocked, s.prefix(each)+each.Blocked.String())
		}
		if each.Ready && each.Failover != nil && each.Failover.OnFallback {
			onFallback, fallback = append(onFallback, each.Source), each.Failover.Fallback
		}
	}
	text := "ready"
	if all := len(s.Sources); ready < all {
		text += fmt.Sprintf(", %d of %d sources", ready, all)
	}
	if len(onFallback) > 0 {
		text += ", on the fallback " + fallback
		if len(s.Sources) > 1 {
			text += ": " + some(onFallback, ", ")
		}
	}
	if s.NotReady != "" {
		text += "; not ready: " + s.NotReady
	}
	if len(blocked) > 0 {
		text += "; " + some(blocked, "; ")
	}
	return text
}

// prefix names a source, where there are several.
func (s Status) prefix(of SourceStatus) string {
	if len(s.Sources) == 1 {
		return ""
	}
	return of.Source + ": "
}

// some joins the first of many texts.
func some(texts []string, separator string) string {
	if more := len(texts) - shownSources; more > 0 {
		return strings.Join(texts[:shownSources], separator) + fmt.Sprintf("%sand %d more", separator, more)
	}
	return strings.Join(texts, separator)
}

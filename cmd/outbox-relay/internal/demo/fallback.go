package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/broker"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/display"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/game"
)

// standIn is what Redis did while JetStream was away, as its consumer saw it. Times are when the relay decided, zero for not yet.
type standIn struct {
	left, back time.Time

	mu       sync.Mutex
	received map[account.ID]bool
	last     map[string]int64 // by key, the place of the latest event
	twice    int
	late     int // received behind a later event of their key
	foreign  int // not readable
}

func newStandIn() *standIn {
	return &standIn{received: map[account.ID]bool{}, last: map[string]int64{}}
}

// receive notes what the consumer of Redis got.
func (s *standIn) receive(got broker.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fact game.Fact
	entry := fact.Entry()
	if err := json.Unmarshal(got.Data, &fact); err == nil {
		entry = fact.Entry()
	}
	switch {
	case got.EventID != fact.ID.String() || got.Key != entry.Key:
		s.foreign++
	case s.received[entry.ID]:
		s.twice++
	case entry.Seq < s.last[entry.Key]:
		s.late++
	}
	s.received[entry.ID], s.last[entry.Key] = true, max(s.last[entry.Key], entry.Seq)
}

func (s *standIn) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.received)
}

// faults names what Redis should not have had, given which events were committed.
func (s *standIn) faults(committed func(account.ID) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaked := 0
	for id := range s.received {
		if !committed(id) {
			leaked++
		}
	}
	var faults []string
	for _, f := range []struct {
		n    int
		text string
	}{
		{s.twice, "in Redis twice"},
		{s.late, "in Redis behind a later one of the same player"},
		{s.foreign, "in Redis that nobody can read"},
		{leaked, "in Redis that were never committed"},
	} {
		if f.n > 0 {
			faults = append(faults, fmt.Sprintf("%d events %s", f.n, f.text))
		}
	}
	return faults
}

// awaitSwitch waits until the relay has decided to use the fallback, or the primary again, and returns when and why. It returns false if
// ctx ends before.
func (d *demo) awaitSwitch(ctx context.Context, fallback bool) (at time.Time, reason string, ok bool) {
	for {
		status := d.engine.Status()
		if f := status.Failover; f != nil && f.OnFallback == fallback {
			return f.Since, f.Reason, true
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return time.Time{}, "", false
		}
	}
}

// watchLeave tells when events go to Redis.
func (d *demo) watchLeave(ctx context.Context) {
	at, reason, ok := d.awaitSwitch(ctx, true)
	if !ok {
		return
	}
	d.standIn.left = at
	d.progress.enter("Redis stands in")
	d.screen.say("Events go to Redis from now on, %s after the server was stopped: %s", display.Span(at.Sub(d.outage.began)), reason)
}

// watchReturn tells when events go to JetStream again.
func (d *demo) watchReturn(ctx context.Context) {
	if d.standIn.left.IsZero() || !d.standIn.back.IsZero() {
		return
	}
	at, reason, ok := d.awaitSwitch(ctx, false)
	if !ok {
		return
	}
	d.standIn.back = at
	d.screen.say("Events go to JetStream again, %s after it came back: %s. What only Redis got is published there too.",
		display.Span(at.Sub(d.outage.ended)), reason)
}

// reportStandIn says what Redis did in the outage.
func (d *demo) reportStandIn() string {
	if d.standIn.left.IsZero() {
		return "The game ended before Redis stood in."
	}
	return fmt.Sprintf("Redis stood in after %s: its consumer received %s events meanwhile. JetStream got %s of them afterwards (rehomed); "+
		"what is left it had stored before it was stopped.",
		display.Span(d.standIn.left.Sub(d.outage.began)), display.Count(d.standIn.count()), display.Count(d.rehomed.Load()))
}

// verdict says whether Redis had what it should have.
func (s *standIn) verdict(committed func(account.ID) bool) (text string, balanced bool) {
	if faults := s.faults(committed); len(faults) > 0 {
		return "Redis does NOT balance: " + strings.Join(faults, "; ") + ".", false
	}
	return "Redis balances too: each of its events was committed, was there once and in the order of its player, and is in JetStream.", true
}

package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Switcher is an optional part of a [Publisher] that stands for two brokers: a primary, and a fallback that is used while the primary
// is out. The relay changes from the one to the other between two sessions only, so that nothing of the old session is in flight
// when the new one begins.
type Switcher interface {
	// Use returns the broker that events go to from now on, which may be a [Ledger] and a [Connector]. The relay calls it when a
	// session begins, and publishes through what it returned until the session ends. It may connect first, as long as ctx allows.
	Use(ctx context.Context) Publisher

	// Wait returns an error that wraps [ErrSwitched] once Use would return another broker, and ctx's error when ctx ends. It is called
	// once in a session, and ctx ends with the session. [MaySend] knows ctx: under it the primary may get events again that it got in
	// a Publish and left without an answer.
	Wait(ctx context.Context) error

	// Rehome returns the name of the fallback whose events the primary gets afterwards; it is empty if they stay where they are.
	Rehome() string

	// Failover returns the state for people. It may be called at any time, and asks no server.
	Failover() FailoverStatus
}

// ErrSwitched is wrapped by the error of a Publish, and of each call of a [Ledger], that reached a broker which is not to be used any
// more: nothing was sent. The relay begins a new session, which asks [Switcher].Use.
var ErrSwitched = errors.New("another broker is to be used")

// FailoverStatus says which of two brokers is used.
type FailoverStatus struct {
	Primary  string `json:"primary"`
	Fallback string `json:"fallback"`
	// OnFallback says that the fallback is used.
	OnFallback bool      `json:"on_fallback"`
	Since      time.Time `json:"since"`
	Reason     string    `json:"reason,omitempty"` // why it came to this; empty before the first switch
}

// chooseBroker decides which broker the session that begins uses.
func (r *Relay) chooseBroker(ctx context.Context) {
	r.active = r.publisher
	if r.switcher == nil {
		return
	}
	r.active = r.switcher.Use(ctx)
	r.track.brokerChosen(r.active.Name(), r.onFallback())
}

// onFallback reports whether the session uses a fallback.
func (r *Relay) onFallback() bool { return r.active.Name() != r.publisher.Name() }

// rehomes returns the names of the brokers whose events the primary gets afterwards.
func (r *Relay) rehomes() []string {
	if r.switcher == nil || r.switcher.Rehome() == "" {
		return r.rehomeToo
	}
	return append(slices.Clone(r.rehomeToo), r.switcher.Rehome())
}

// switchLoop ends the session when another broker is to be used.
func (r *Relay) switchLoop(ctx context.Context) error {
	if r.switcher == nil {
		return nil
	}
	err := r.switcher.Wait(r.tenancy.fence.guard(ctx))
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errAgain, err)
}

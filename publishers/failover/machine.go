package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// machine decides which broker is used, from what the two have answered. It has no clock and no
// lock of its own, and calls nothing.
type machine struct {
	cfg               Config
	primary, fallback string // names

	onFallback bool
	since      time.Time
	reason     string // of the last switch; empty before the first

	outage      outage    // of the primary, while it is used
	trial       *trial    // what the primary must store before it is used again; nil unless it stalled
	suspects    suspects  // events that may themselves be why they get no answer
	healthy     time.Time // since when the primary answers probes, while the fallback is used; zero if it does not
	fallbackOut bool      // the fallback was unavailable when it was asked last, while it is used
}

// outage is a time in which the primary has answered nothing but that it is unavailable, or has
// left events without an answer while its stream stood still. The zero value is none.
type outage struct {
	since     time.Time
	cause     error
	publishes bool   // publishes have failed, so that nothing less than a publish ends it
	first     bool   // the first connection has failed, so that failover.after is not waited for
	sure      bool   // it is not one stalled publish alone
	trial     *trial // nil unless the primary stalled
}

func (o outage) begun() bool { return !o.since.IsZero() }

// source says how an answer came about.
type source int

const (
	look    source = iota // a question to the broker
	publish               // events were sent
	session               // a session begins: the stream was read as far as that is needed
)

// primaryAnswered notes an answer of the primary.
func (m *machine) primaryAnswered(now time.Time, from source, err error) {
	if m.onFallback {
		m.healthy = m.health(now, err)
		return
	}
	switch {
	case errors.Is(err, relay.ErrUnavailable):
		if !m.outage.begun() {
			m.outage.since = now
		}
		m.outage.cause, m.outage.sure = err, true
		m.outage.publishes = m.outage.publishes || from == publish
	case isAnswer(err) && m.endedBy(from):
		m.outage = outage{}
	}
}

// endedBy reports whether an answer ends the outage. Whether a stream that stalled stores events
// again only a publish tells.
func (m *machine) endedBy(from source) bool {
	return from == publish || !m.outage.publishes || from == session && m.outage.trial == nil
}

// primaryPublished notes what came of a Publish to the primary that began at a moment.
func (m *machine) primaryPublished(began, now time.Time, events []relay.Event, outcomes []relay.Outcome, err error) {
	stored := slices.ContainsFunc(outcomes, func(o relay.Outcome) bool { return o.Stored })
	// While the stream stands still, the refusal of one event says only that the server answers.
	answered := stored || m.outage.trial == nil && answeredOne(outcomes)
	if answered {
		m.suspects.add(m.outage.trial.unstored(events, outcomes))
		m.primaryAnswered(now, publish, nil)
		began = now
	}
	switch stalled, ok := errors.AsType[*relay.StalledError](err); {
	case ok:
		m.primaryStalled(began, stalled, events, outcomes)
	case err != nil || m.outage.trial == nil:
		m.primaryAnswered(now, publish, err)
	}
}

// primaryStalled notes events without an answer from a stream that stands still. One event that
// gets no answer while others are stored says nothing of the stream.
func (m *machine) primaryStalled(
	began time.Time, stalled *relay.StalledError, events []relay.Event, outcomes []relay.Outcome,
) {
	if m.onFallback || m.suspects.all(events, outcomes) {
		return
	}
	o := &m.outage
	if o.trial != nil && !standsStill(stalled.State, o.trial.state) {
		*o = outage{}
	}
	if !o.begun() {
		o.since = began
	}
	o.cause, o.publishes, o.sure = stalled, true, o.sure || o.trial != nil || errors.Is(stalled, relay.ErrUnavailable)
	if o.trial == nil {
		o.trial = newTrial(stalled.State)
	}
	o.trial.addUnanswered(events, outcomes)
}

func standsStill(now, before relay.StreamState) bool {
	return now.Incarnation == before.Incarnation && now.Last == before.Last
}

// health returns since when the primary is healthy.
func (m *machine) health(now time.Time, err error) time.Time {
	switch {
	case err != nil:
		return time.Time{}
	case m.healthy.IsZero():
		return now
	}
	return m.healthy
}

// isAnswer reports whether err is something that a broker in working order says. A call that took too long is none.
func isAnswer(err error) bool {
	var throttled *relay.ThrottledError
	return err == nil || errors.Is(err, relay.ErrMisconfigured) || errors.Is(err, relay.ErrRewound) ||
		errors.As(err, &throttled)
}

// primaryIsOut reports whether the fallback is to be used if it is healthy.
func (m *machine) primaryIsOut(now time.Time) bool {
	o := m.outage
	return !m.onFallback && o.begun() && (o.first || o.sure && now.Sub(o.since) >= m.cfg.After)
}

// primaryIsBack reports whether the primary is to be used if the fallback is really out.
func (m *machine) primaryIsBack() bool { return m.onFallback && m.fallbackOut && !m.healthy.IsZero() }

// missing notes that the first connection to the primary failed, which began at a time.
func (m *machine) missing(began time.Time, cause error) {
	m.outage = outage{since: began, cause: cause, first: true}
}

// outageText says for how long the primary is out, and why.
func (m *machine) outageText(now time.Time) string {
	since := ""
	if m.outage.first {
		since = ", since the first connection"
	}
	lasted := now.Sub(m.outage.since).Round(time.Millisecond)
	return fmt.Sprintf("%s has been unavailable for %s%s: %v", m.primary, lasted, since, m.outage.cause)
}

// fallbackAnswered notes an answer of the fallback.
func (m *machine) fallbackAnswered(now time.Time, err error) {
	switch {
	case m.onFallback && errors.Is(err, relay.ErrUnavailable):
		m.fallbackOut = true
	case m.onFallback && isAnswer(err):
		m.fallbackOut = false
	case err == nil && m.primaryIsOut(now):
		m.change(now, m.outageText(now))
	}
}

// fallbackPublished notes what came of a Publish to the fallback.
func (m *machine) fallbackPublished(now time.Time, events []relay.Event, outcomes []relay.Outcome, err error) {
	if answeredOne(outcomes) {
		m.fallbackAnswered(now, nil)
	}
	m.fallbackAnswered(now, err)
	if m.cfg.Rehome {
		m.trial.addStored(events, outcomes)
	}
}

// decide goes back to the primary if it is time to. fallback is the answer that the fallback has
// just given, if it was asked.
func (m *machine) decide(now time.Time, fallback error) {
	switch {
	case !m.onFallback || m.healthy.IsZero():
	case m.fallbackOut && errors.Is(fallback, relay.ErrUnavailable):
		m.change(now, fmt.Sprintf("%s is healthy, and %s is not: %v", m.primary, m.fallback, fallback))
	case now.Sub(m.healthy) >= m.cfg.FailbackAfter:
		m.change(now, fmt.Sprintf("%s has been healthy for %s", m.primary, now.Sub(m.healthy).Round(time.Millisecond)))
	}
}

func (m *machine) change(now time.Time, reason string) {
	m.onFallback, m.since, m.reason = !m.onFallback, now, reason
	m.trial = m.outage.trial
	m.outage, m.healthy, m.fallbackOut = outage{}, time.Time{}, false
}

// answeredOne reports whether a broker took or refused an event. The error of that Publish came after it.
func answeredOne(outcomes []relay.Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o relay.Outcome) bool {
		return o.Stored || errors.As(o.Err, new(*relay.PermanentError)) || o.Err != nil && isAnswer(o.Err)
	})
}

// isOver reports whether a call ended because its caller wanted no answer any more, or might not send any more.
func isOver(ctx context.Context, err error) bool { return err != nil && !relay.MaySend(ctx) }

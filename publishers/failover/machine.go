package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// machine decides which broker is used, from what the two have answered. It has no clock and no lock of its own, and calls nobody.
type machine struct {
	cfg               Config
	primary, fallback string // names

	onFallback bool
	since      time.Time
	reason     string // of the last switch; empty before the first

	outage      outage    // of the primary, while it is used
	healthy     time.Time // since when the primary answers probes, while the fallback is used; zero if it does not
	fallbackOut bool      // the fallback was unavailable when it was asked last, while it is used
}

// outage is a time in which the primary has answered nothing but that it is unavailable. The zero value is none.
type outage struct {
	since     time.Time
	cause     error
	publishes bool // publishes have failed, so that nothing less than a publish ends it
	first     bool // the first connection has failed, so that failover.after is not waited for
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
		m.outage.cause = err
		m.outage.publishes = m.outage.publishes || from == publish
	case isAnswer(err) && (from != look || !m.outage.publishes):
		m.outage = outage{}
	}
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
	return err == nil || errors.Is(err, relay.ErrMisconfigured) || errors.Is(err, relay.ErrRewound) || errors.As(err, &throttled)
}

// primaryIsOut reports whether the fallback is to be used if it is healthy.
func (m *machine) primaryIsOut(now time.Time) bool {
	return !m.onFallback && m.outage.begun() && (m.outage.first || now.Sub(m.outage.since) >= m.cfg.After)
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

// decide goes back to the primary if it is time to. fallback is the answer that the fallback has just given, if it was asked.
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
	m.outage, m.healthy, m.fallbackOut = outage{}, time.Time{}, false
}

// published returns what a Publish says of a broker: the error of one that took or refused an event begins after that.
func published(outcomes []relay.Outcome, err error) (answered bool, last error) {
	for _, outcome := range outcomes {
		var permanent *relay.PermanentError
		if outcome.Stored || errors.As(outcome.Err, &permanent) || outcome.Err != nil && isAnswer(outcome.Err) {
			return true, err
		}
	}
	return false, err
}

// isOver reports whether a call ended because its caller wanted no answer any more, or might not send any more.
func isOver(ctx context.Context, err error) bool { return err != nil && !relay.MaySend(ctx) }

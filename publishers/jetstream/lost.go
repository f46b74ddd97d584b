package jetstream

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// An event that gets no answer went to a stream that stores nothing, as with a full disk, or it did
// not reach the stream: a mapping, import or export of the account can take its subject to a
// subscriber that never answers. A probe tells the two apart. It is the event once more, with a
// header that expects another stream. A stream refuses it before it does anything else, and stores
// nothing; one with a full disk does so too. Events with other subjects, one of them from the stream,
// show that the stream answers at all; where there is none, a look at the stream has to do. So
// whoever subscribes sees events, and nothing else.

const (
	headerExpectedStream = "Nats-Expected-Stream"
	noStream             = "outbox relay probe" // no stream can have this name

	// probeWait is how long the first answer to a probe may take.
	probeWait = time.Second
	// probeGrace is how long the next one may take.
	probeGrace = 100 * time.Millisecond
	// keptPayload is how large the payload of an event may be that is kept for a control.
	keptPayload = 64 << 10
	// lostFor is for how long the events of a lost subject are delayed without another probe.
	lostFor = 5 * time.Second
)

// silenceError says that events were sent and got no acknowledgement in time.
type silenceError struct {
	events []int // that may be concerned
	of     int   // events that were sent
	within time.Duration
}

func (e *silenceError) Error() string {
	return fmt.Sprintf("%v of %d of %d events within %s", errNoAck, len(e.events), e.of, e.within)
}

// Unwrap makes it a case of errNoAck.
func (e *silenceError) Unwrap() error { return errNoAck }

// delayKnownLost delays events whose subjects did not reach the stream a moment ago, and probes those of longer ago.
func (c *call) delayKnownLost(ctx context.Context) {
	if len(c.link.swallowed) == 0 {
		return
	}
	var again []int
	for i := range c.events {
		subject := c.events[i].Subject
		at, known := c.link.swallowed[subject]
		switch {
		case !known || c.decided[i]:
		case time.Since(at) < lostFor:
			c.delay(i, c.link.target.unreached(subject))
		default:
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return
	}
	lost := c.probe(ctx, again)
	for _, i := range again {
		subject := c.events[i].Subject
		if !lost[subject] {
			delete(c.link.swallowed, subject)
			continue
		}
		c.link.swallowed.note(subject, time.Now())
		c.delay(i, c.link.target.unreached(subject))
	}
}

// delayLost delays those of the events that were sent whose subjects do not reach the stream. It reports whether there
// are any.
func (c *call) delayLost(ctx context.Context, sent []int) bool {
	lost := c.probe(ctx, sent)
	for _, i := range sent {
		if subject := c.events[i].Subject; lost[subject] {
			c.link.swallowed.note(subject, time.Now())
			c.delay(i, &relay.AmbiguousError{Err: c.link.target.unreached(subject)})
		}
	}
	return len(lost) > 0
}

// unreached is the error of an event whose subject does not reach the stream.
func (t *target) unreached(subject string) error {
	return fmt.Errorf("%w: subject %s does not reach stream %q, which captures it and answers on other subjects; "+
		"look for a mapping, import or export of the NATS account that takes the subject to a subscriber",
		relay.ErrMisconfigured, subject, t.stream)
}

// keep keeps an event that was stored, for a control.
func (c *call) keep() {
	if c.kept == nil {
		return
	}
	c.link.kept = *c.kept
	c.link.kept.Payload = bytes.Clone(c.kept.Payload)
}

// probe returns the subjects of events that do not reach the stream. It returns none if the stream
// does not answer at all.
func (c *call) probe(ctx context.Context, events []int) map[string]bool {
	var probes []*relay.Event
	for _, i := range events {
		event := &c.events[i]
		known := slices.ContainsFunc(probes, func(probe *relay.Event) bool { return probe.Subject == event.Subject })
		if !known && len(probes) < maxDiverted {
			probes = append(probes, event)
		}
	}
	control := c.control(ctx, probes)
	if control != nil {
		probes = append(probes, control)
	}
	silent, answered := c.ask(ctx, probes)
	if !answered && control == nil {
		_, err := c.link.lookAt(ctx)
		answered = err == nil
	}
	if !answered {
		return nil
	}
	return silent
}

// control returns an event that should reach the stream, and whose subject is none of those that are in question: the
// last that was stored, or the last that the stream holds. It returns nil if there is none.
func (c *call) control(ctx context.Context, probes []*relay.Event) *relay.Event {
	fits := func(event *relay.Event) bool {
		_, lost := c.link.swallowed[event.Subject]
		return !lost && event.Subject != "" &&
			!slices.ContainsFunc(probes, func(probe *relay.Event) bool { return probe.Subject == event.Subject })
	}
	for _, event := range []*relay.Event{c.kept, &c.link.kept} {
		if event != nil && fits(event) {
			return event
		}
	}
	if event := c.link.lastHeld(ctx, c.end); event != nil && fits(event) {
		return event
	}
	return nil
}

// lastHeld returns the event that the stream holds at a sequence, or nil.
func (l *link) lastHeld(ctx context.Context, sequence uint64) *relay.Event {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	stream, err := l.openStream(ctx)
	if err != nil || sequence == 0 {
		return nil
	}
	var last *relay.Event
	scan := relay.Scan{First: sequence, Last: sequence, Payloads: true}
	take := func(message stored) error {
		if event, ours := message.event(); ours && len(event.Payload) <= keptPayload {
			last = &relay.Event{
				ID: event.ID, EventID: event.EventID, Subject: event.Subject, Key: event.Key, Headers: event.Headers, Payload: event.Payload,
				CreatedAt: event.CreatedAt,
			}
		}
		return nil
	}
	if l.getRange(ctx, stream, scan, take) != nil {
		return nil
	}
	return last
}

// ask returns the subjects of events from which the stream does not answer, and whether it answers from any.
func (c *call) ask(ctx context.Context, probes []*relay.Event) (silent map[string]bool, answered bool) {
	l := c.link
	l.calls++
	prefix := l.inbox + "." + strconv.FormatUint(l.calls, 10) + ".probe."
	silent = map[string]bool{}
	for place, event := range probes {
		msg := c.encoder.encode(event, prefix+strconv.Itoa(place))
		c.encoder.own = true // the next event may not have the header
		msg.Header.Set(headerExpectedStream, noStream)
		if err := l.nc.PublishMsg(msg); err != nil {
			return nil, false
		}
		silent[event.Subject] = true
	}
	timer := time.NewTimer(probeWait)
	defer timer.Stop()
	for len(silent) > 0 {
		select {
		case msg := <-l.replies:
			msg = l.read(msg)
			place, err := strconv.Atoi(strings.TrimPrefix(msg.Subject, prefix))
			if err != nil || place < 0 || place >= len(probes) {
				l.late(msg)
				continue
			}
			if a, err := parseAnswer(msg); err != nil || a.Stream != l.target.stream {
				continue // of another stream, or of a subscriber
			}
			delete(silent, probes[place].Subject)
			answered = true
			timer.Reset(probeGrace)
		case <-timer.C:
			return silent, answered
		case <-l.down:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
	return silent, answered
}

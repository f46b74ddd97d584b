package jetstream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

// An event that gets no answer went to a stream that stores nothing, as with a full disk, or it did
// not reach the stream: a mapping, import or export of the account can take its subject to a
// subscriber that never answers. A probe tells the two apart. It is a message with the subject of
// the event that expects another stream. A stream refuses it before it does anything else, and
// stores nothing; one with a full disk does so too. A probe with a control subject, which is known
// or made up to reach the stream, shows that the stream answers at all.

const (
	headerExpectedStream = "Nats-Expected-Stream"
	noStream             = "outbox relay probe" // no stream can have this name

	// probeWait is how long the control may take.
	probeWait = time.Second
	// probeGrace is how long the other probes may take after the control, which was sent last.
	probeGrace = 100 * time.Millisecond
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

// probe returns the subjects of events that do not reach the stream. It returns none if the stream
// does not answer at all.
func (c *call) probe(ctx context.Context, events []int) map[string]bool {
	var subjects []string
	place := map[string]int{}
	for _, i := range events {
		subject := c.events[i].Subject
		if _, known := place[subject]; !known && len(subjects) < maxDiverted {
			place[subject] = len(subjects)
			subjects = append(subjects, subject)
		}
	}
	control, found := c.link.control(subjects)
	if !found {
		return nil
	}
	return c.link.ask(ctx, subjects, control)
}

// control returns a subject that should reach the stream, and is none of those that are in question.
func (l *link) control(subjects []string) (subject string, found bool) {
	candidates := []string{l.reached}
	for _, pattern := range l.target.subjects {
		tokens := strings.Split(pattern, ".")
		for i, token := range tokens {
			if token == "*" || token == ">" {
				tokens[i] = "outbox-relay-probe"
			}
		}
		candidates = append(candidates, strings.Join(tokens, "."))
	}
	for _, subject := range candidates {
		if _, lost := l.swallowed[subject]; !lost && subject != "" && !slices.Contains(subjects, subject) {
			return subject, true
		}
	}
	return "", false
}

// ask probes subjects, the control last, and returns those from which the stream does not answer although it does from
// the control.
func (l *link) ask(ctx context.Context, subjects []string, control string) map[string]bool {
	l.calls++
	prefix := l.inbox + "." + strconv.FormatUint(l.calls, 10) + ".probe."
	silent := map[string]bool{}
	subjects = append(slices.Clip(subjects), control)
	for place, subject := range subjects {
		msg := nats.NewMsg(subject)
		msg.Reply = prefix + strconv.Itoa(place)
		msg.Header.Set(headerExpectedStream, noStream)
		if err := l.nc.PublishMsg(msg); err != nil {
			return nil
		}
		silent[subject] = true
	}
	timer := time.NewTimer(probeWait)
	defer timer.Stop()
	for len(silent) > 0 {
		select {
		case msg := <-l.replies:
			msg = l.read(msg)
			place, err := strconv.Atoi(strings.TrimPrefix(msg.Subject, prefix))
			if err != nil || place < 0 || place >= len(subjects) {
				l.late(msg)
				continue
			}
			if a, err := parseAnswer(msg); err != nil || a.Stream != l.target.stream {
				continue // of another stream, or of a subscriber
			}
			delete(silent, subjects[place])
			if subjects[place] == control {
				timer.Reset(probeGrace)
			}
			continue
		case <-timer.C:
		case <-l.down:
			return nil
		case <-ctx.Done():
			return nil
		}
		if silent[control] {
			return nil
		}
		return silent
	}
	return nil
}

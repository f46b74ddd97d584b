package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// maxControlLine is the longest protocol line that servers take unless told otherwise
// (max_control_line). A longer one makes the server close the connection for good.
const maxControlLine = 4096

// maxReply is more than the length of any reply subject below an inbox, and of the numbers of a protocol line.
const maxReply = 128

// limits are what the server and the stream take.
type limits struct {
	stream  string
	payload int // headers and payload, of the server
	event   int // headers and payload, of the stream; 0 means no limit
	subject int
	cli     cli
}

// refusalOf returns why the server would refuse an event for good, or nil, and the event's size on
// the wire. It finds out before anything is sent, because a server closes the connection for some
// of these causes, and others end a batch.
func (l limits) refusalOf(event *relay.Event) (size int, err error) {
	headers, size := wireSize(event)
	switch {
	case !validSubject(event.Subject):
		return size, refuse(relay.ReasonBadSubject,
			"subject %q has an empty token, a wildcard, whitespace or a control character", event.Subject)
	case len(event.Subject) > l.subject:
		return size, refuse(relay.ReasonBadSubject,
			"the subject has %d bytes, the server takes %d", len(event.Subject), l.subject)
	case headers > math.MaxUint16:
		return size, refuse(relay.ReasonTooLarge,
			"the headers have %d bytes, a stream takes %d; shorten them", headers, math.MaxUint16)
	case size > l.payload:
		return size, refuse(relay.ReasonTooLarge, "payload and headers have %d bytes, the server takes %d; "+
			"raise max_payload in its configuration, or publish less", size, l.payload)
	case l.event > 0 && size > l.event:
		return size, refuse(relay.ReasonTooLarge,
			"payload and headers have %d bytes, the stream takes %d; run: %s; or publish less",
			size, l.event, l.cli.edit(l.stream, fmt.Sprintf("--max-msg-size=%d", size)))
	}
	return size, badHeader(event)
}

func refuse(reason relay.Reason, format string, args ...any) error {
	return &relay.PermanentError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// badHeader returns why a header cannot be carried, or nil. The client would change a line break into a space.
func badHeader(event *relay.Event) error {
	if strings.ContainsAny(event.Key, "\r\n") {
		return refuse(relay.ReasonBadHeader, "the key has a line break, which the header %s cannot carry", headerKey)
	}
	if err := relay.CheckHeaders(event.Headers); err != nil {
		return err
	}
	for name, value := range event.Headers {
		switch {
		case reserved(name):
		case !validHeaderName(name):
			return refuse(relay.ReasonBadHeader, "the header name %q is not valid", name)
		case strings.ContainsAny(value, "\r\n"):
			return refuse(relay.ReasonBadHeader, "the header %s has a line break, which a header cannot carry", name)
		}
	}
	return nil
}

// validHeaderName is the rule of RFC 9110 for names, which nats.go has too.
func validHeaderName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// check decides the events that would be refused, before they are sent, and learns the sizes of
// the others.
func (c *call) check(ctx context.Context) error {
	limit := c.limits()
	var uncovered []int
	for i := range c.events {
		if c.decided[i] {
			continue
		}
		size, err := limit.refusalOf(&c.events[i])
		c.sizes[i] = size
		switch {
		case err != nil:
			c.refuse(i, err)
		case !c.link.target.subjects.cover(c.events[i].Subject):
			uncovered = append(uncovered, i)
		}
		if err == nil && limit.isNear(size) {
			c.link.sizes.warn(c.link.log, &c.events[i], size, limit)
		}
	}
	if len(uncovered) == 0 {
		return nil
	}
	return c.checkCoverage(ctx, uncovered)
}

// checkCoverage looks at the stream again, for an operator may have added a subject, and delays the
// events whose subjects it still does not capture. That is no property of the event, and events of
// other keys go on.
func (c *call) checkCoverage(ctx context.Context, uncovered []int) error {
	info, err := c.link.lookAt(ctx)
	if err != nil {
		return err
	}
	if subjects := patterns(info.Config.Subjects); subjects.String() != c.link.target.subjects.String() {
		if err := c.link.renew(info); err != nil {
			return err
		}
	}
	stream := c.link.target
	for _, i := range uncovered {
		if !stream.subjects.cover(c.events[i].Subject) {
			c.delay(i, notCaptured(c.events[i].Subject, stream))
		}
	}
	return nil
}

// notCaptured is the error of an event whose subject no stream captures, as far as it is known.
func notCaptured(subject string, stream *target) error {
	all := append(append(patterns{}, stream.subjects...), subject)
	return fmt.Errorf("%w: stream %q does not capture subject %s; run: %s",
		relay.ErrMisconfigured, stream.stream, subject, stream.cli.edit(stream.stream, subjectsFlag(all)))
}

// isPermanent tells whether an error makes its event a dead letter.
func isPermanent(err error) bool { return errors.As(err, new(*relay.PermanentError)) }

package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/relay"
)

const (
	// electionPause is the pause before an event is sent once more that nobody took. Servers need a
	// moment to hear of a new leader.
	electionPause = 100 * time.Millisecond
	// divertedFor is for how long a subject is remembered that does not reach the stream. Its
	// events are not sent twice in a call then.
	divertedFor = 30 * time.Second
	// maxDiverted bounds the subjects that are remembered.
	maxDiverted = 1024
)

// unroutedError says that nobody took events ("no responders"): no stream captures their subjects,
// the stream has no leader, or the account takes the subjects elsewhere.
type unroutedError struct{ events []int }

func (e *unroutedError) Error() string { return "no stream took the event" }

// diversions are subjects of which something is known, and when that was found out: those that do not reach the stream
// that captures them, for instance.
type diversions map[string]time.Time

func (d *diversions) note(subject string, now time.Time) {
	if *d == nil || len(*d) >= maxDiverted {
		*d = diversions{}
	}
	(*d)[subject] = now
}

func (d diversions) knows(subject string, now time.Time) bool {
	at, known := d[subject]
	return known && now.Sub(at) < divertedFor
}

// explain finds out what stands behind an error that has more than one cause. It returns nil when
// it turns out to concern some events only, whose outcomes then say it.
func (c *call) explain(ctx context.Context, err error) error {
	var unrouted *unroutedError
	switch {
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	case errors.As(err, &unrouted):
		return c.explainUnrouted(ctx, unrouted.events)
	case errors.Is(err, errNoAck):
		return c.explainSilence(ctx, err)
	case errors.As(err, new(*diskError)):
		return c.explainDisk(ctx, err)
	}
	return err
}

// explainDisk adds the state of the stream, by which it can be told when it stores events again.
func (c *call) explainDisk(ctx context.Context, fault error) error {
	info, err := c.link.lookAt(ctx)
	if err != nil {
		return fault
	}
	return &relay.StalledError{State: c.link.stateOf(info), Err: fault}
}

// explainUnrouted looks at the stream. One that was deleted is created again by that. An event that
// a led stream captures is sent once more, for the stream may have been without a leader a moment
// ago. If nobody takes it then either, its subject leads elsewhere.
func (c *call) explainUnrouted(ctx context.Context, events []int) error {
	c.link.invalidate()
	info, err := c.link.lookAt(ctx)
	if err != nil {
		return err
	}
	if err := c.link.renew(info); err != nil {
		return err
	}
	c.link.singly = true // each answer tells of one event
	now := time.Now()
	for _, i := range events {
		switch subject := c.events[i].Subject; {
		case !c.link.target.subjects.cover(subject):
			c.delay(i, notCaptured(subject, c.link.target))
		case c.unrouted[i] || c.link.diverted.knows(subject, now):
			c.link.diverted.note(subject, now)
			c.delay(i, diverted(subject, c.link.target))
		default:
			c.sendAgain(i)
		}
	}
	if c.again {
		pause(ctx, electionPause)
	}
	return nil
}

// sendAgain leaves an event for the next round.
func (c *call) sendAgain(i int) {
	if c.unrouted == nil {
		c.unrouted = map[int]bool{}
	}
	c.unrouted[i], c.again = true, true
}

// diverted is the error of an event that reaches no stream, although one captures its subject and has a leader.
func diverted(subject string, stream *target) error {
	return fmt.Errorf("%w: no stream took the event with subject %s, although stream %q captures it and has a leader; "+
		"look for a mapping, import or export of the NATS account that takes the subject elsewhere",
		relay.ErrMisconfigured, subject, stream.stream)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// explainSilence tells three cases apart: the events did not reach the stream; it goes on, so that
// it is unknown what became of them; or it stores nothing. A server that cannot write to its disk
// answers questions and leaves events without an answer.
func (c *call) explainSilence(ctx context.Context, silence error) error {
	info, err := c.link.lookAt(ctx)
	if err != nil {
		return err
	}
	state := c.link.stateOf(info)
	still := c.link.standsStill(state, max(c.before, c.highest))
	if silent, ok := errors.AsType[*silenceError](silence); ok && c.delayLost(ctx, silent.events) {
		return nil
	}
	switch {
	case c.highest > 0:
		return fmt.Errorf("%w, while stream %q stored others", silence, state.Stream)
	case !still:
		return silence
	}
	return &relay.StalledError{State: state, Err: fmt.Errorf("%w, and stream %q at %s stays at sequence %d although it "+
		"can be looked at; check the disk and the log of its NATS server, which may need a restart once there is room",
		silence, state.Stream, c.link.where, state.Last)}
}

// standsStill reports whether a stream has stored nothing since it was looked at last, or since an
// acknowledgement told its end.
func (s *session) standsStill(state relay.StreamState, acknowledged uint64) bool {
	before := s.seen
	s.seen = state
	if before.Incarnation == "" {
		before = relay.StreamState{Incarnation: state.Incarnation, Last: acknowledged}
	}
	return state.Incarnation == before.Incarnation && state.Last == max(before.Last, acknowledged)
}

package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/gameoutbox/relay/relay"
)

// unroutedError says that nobody took an event ("no responders"): no stream captures its subject, or the stream has no leader.
type unroutedError struct{ event int }

func (e *unroutedError) Error() string { return "no stream took the event" }

// explain finds out what stands behind an error that has more than one cause. It returns nil when it turns out to concern
// one event only, whose outcome then says it.
func (c *call) explain(ctx context.Context, err error) error {
	var unrouted *unroutedError
	switch {
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	case errors.As(err, &unrouted):
		return c.explainUnrouted(ctx, unrouted.event)
	case errors.Is(err, errNoAck):
		return c.explainSilence(ctx, err)
	}
	return err
}

// explainUnrouted looks at the stream. One that was deleted is created again by that.
func (c *call) explainUnrouted(ctx context.Context, i int) error {
	c.link.invalidate()
	info, err := c.link.lookAt(ctx)
	if err != nil {
		return err
	}
	stream := newTarget(info.Config, c.link.target.fast)
	if !stream.subjects.cover(c.events[i].Subject) {
		c.link.target = stream
		c.delay(i, notCaptured(c.events[i].Subject, stream))
		return nil
	}
	return fmt.Errorf("%w: stream %q has no leader, or had none a moment ago", relay.ErrUnavailable, stream.stream)
}

// explainSilence tells a stream that works, so that it is unknown what became of the events, from one that does not.
func (c *call) explainSilence(ctx context.Context, silence error) error {
	if _, err := c.link.lookAt(ctx); err != nil {
		return err
	}
	return silence
}

package jetstream

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// explainOversize adds its size and the limit to the refusal of each event that the server found
// too large. A limit that was known would have been found before, so the stream is looked at once
// more, and the events that are left are checked against what it says then.
func (c *call) explainOversize(ctx context.Context) error {
	if len(c.oversize) == 0 {
		return nil
	}
	var err error
	if !c.measured {
		c.measured = true
		err = c.measure(ctx)
	}
	limit := c.limits()
	for _, i := range c.oversize {
		c.outcomes[i].Err = withSizes(c.outcomes[i].Err, limit, &c.events[i])
	}
	c.oversize = nil
	return err
}

// measure looks at the limits once more, and checks the events that are left against them.
func (c *call) measure(ctx context.Context) error {
	info, err := c.link.lookAt(ctx)
	if err != nil {
		return err
	}
	if err := c.link.renew(info); err != nil {
		return err
	}
	return c.check(ctx)
}

// withSizes returns the refusal of an event that is too large, with its size, and with the limit if
// that is known.
func withSizes(refusal error, limit limits, event *relay.Event) error {
	permanent, ok := errors.AsType[*relay.PermanentError](refusal)
	if !ok {
		return refusal // another cause came first
	}
	size, known := limit.refusalOf(event)
	if found, ok := errors.AsType[*relay.PermanentError](known); ok && found.Reason == permanent.Reason {
		return refuse(permanent.Reason, "%w (%w)", found.Err, permanent.Err)
	}
	return refuse(permanent.Reason,
		"payload and headers have %d bytes, more than the server takes: %w", size, permanent.Err)
}

// limits returns what the server and the stream take, as far as it is known.
func (c *call) limits() limits {
	return limits{
		stream:  c.link.target.stream,
		cli:     c.link.target.cli,
		payload: int(c.link.nc.MaxPayload()),
		event:   c.link.target.maxEvent,
		subject: maxControlLine - maxReply - len(c.link.inbox),
	}
}

// most is the most bytes of headers and payload.
func (l limits) most() int {
	if l.event > 0 {
		return min(l.event, l.payload)
	}
	return l.payload
}

// isNear tells whether an event of this size nearly reaches the limit: 90 % of it or more.
func (l limits) isNear(size int) bool { return size >= l.most()/10*9 }

// nearInterval is how often an event is logged that nearly reaches the limit.
const nearInterval = 10 * time.Minute

// sizes remembers what was logged about limits of sizes, for all connections.
type sizes struct {
	mu   sync.Mutex
	told int64     // max_payload that was logged
	near time.Time // when an event near the limit was logged last
}

// announce logs, once, that a server takes smaller events than Postgres does.
func (s *sizes) announce(log *zap.Logger, maxPayload int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if maxPayload >= roomyPayload || maxPayload == s.told {
		return
	}
	s.told = maxPayload
	log.Info("NATS takes smaller events than Postgres",
		zap.Int64("max_payload", maxPayload), zap.Int("postgres", roomyPayload),
		zap.String("next", "raise max_payload of the server if events come near to it: larger ones become dead letters"))
}

// warn logs now and then an event that nearly reaches the limit.
func (s *sizes) warn(log *zap.Logger, event *relay.Event, size int, limit limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.near) >= nearInterval {
		s.near = now
		log.Warn("event near the size limit",
			zap.Int64("id", event.ID), zap.String("subject", event.Subject), zap.Int("bytes", size),
			zap.Int("limit", limit.most()),
			zap.String("next", limit.raise()+", or publish less: larger events become dead letters"))
	}
}

// raise says how the limit is raised.
func (l limits) raise() string {
	if l.most() == l.event {
		return "run: " + l.cli.edit(l.stream, "--max-msg-size="+strconv.Itoa(roomyPayload))
	}
	return "raise max_payload in the server's configuration"
}

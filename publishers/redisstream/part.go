package redisstream

import "strings"

// A part is what one call of the script gets: little enough that other clients of the server do not wait for long, a few
// milliseconds. A window is what is sent without waiting for answers.
const (
	partEvents  = 512
	partBytes   = 1 << 20
	windowParts = 16
)

// part lists events by their place in the call, in order.
type part []int

// split returns the next parts to send: events that are neither decided nor held.
func (c *call) split() []part {
	var parts []part
	var next part
	bytes := 0
	for i := range c.events {
		if first, held := c.held[c.events[i].Key]; c.decided[i] || held && i > first {
			continue
		}
		n := size(&c.events[i])
		if len(next) == partEvents || len(next) > 0 && bytes+n > partBytes {
			if parts = append(parts, next); len(parts) == windowParts {
				return parts
			}
			next, bytes = nil, 0
		}
		next, bytes = append(next, i), bytes+n
	}
	if len(next) > 0 {
		parts = append(parts, next)
	}
	return parts
}

// args returns the command that sends a part.
func (c *call) args(m mode, p part, o order) []any {
	keys := c.session.keys(m, "")
	limits := c.session.limits(o)
	args := make([]any, 0, 3+len(keys)+len(limits)+fields*len(p))
	args = append(args, "EVALSHA", m.sha, len(keys))
	for _, key := range keys {
		args = append(args, key)
	}
	args = append(args, limits...)
	for _, i := range p {
		args = appendEvent(args, &c.events[i])
	}
	return args
}

// isNoScript tells whether the server forgot the script, as a restart makes it.
func isNoScript(e *serverError) bool { return strings.HasPrefix(e.text, "NOSCRIPT ") }

package redisstream

import "strings"

// A part is what one call of the script gets: little enough that other clients of the server do not wait for long, a few
// milliseconds.
const (
	partEvents = 512
	partBytes  = 1 << 20
)

// part lists events by their place in the call, in order.
type part []int

// split returns the parts of a window, which are events that are neither decided nor held, from the given place in the call on, and the
// place behind the window.
func (c *call) split(from int) (parts []part, to int) {
	var next part
	bytes := 0
	for i := from; i < len(c.events); i++ {
		if first, held := c.held[c.events[i].Key]; c.decided[i] || held && i > first {
			continue
		}
		n := size(&c.events[i])
		if len(next) == partEvents || len(next) > 0 && bytes+n > partBytes {
			if parts = append(parts, next); len(parts) == windowParts {
				return parts, i
			}
			next, bytes = nil, 0
		}
		next, bytes = append(next, i), bytes+n
	}
	if len(next) > 0 {
		parts = append(parts, next)
	}
	return parts, len(c.events)
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

package redisstream

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/publishers/internal/trouble"
)

// windowParts is how many parts are sent without waiting for answers.
const windowParts = 16

// window is some parts that are sent without waiting, and the answers. A nil window has no parts.
type window struct {
	parts []part
	to    int    // the place in the call behind it
	done  string // what the gate holds when all of it is stored

	log  *zap.Logger
	pipe redis.Pipeliner
	sent []*redis.StringCmd
	wait wait

	under chan error // the exchange, while it is under way; else nil
	err   error      // what came of it
}

// window makes a window of the events from a place in the call on, or nil if none is left to send. All of it is refused unless the gate
// holds after; empty for any.
func (c *call) window(ctx context.Context, primary *redis.Client, known *server, from int, after string) *window {
	parts, to := c.split(from)
	if len(parts) == 0 {
		return nil
	}
	w := &window{
		log: c.session.log, parts: parts, to: to, done: after, pipe: primary.Pipeline(),
		sent: make([]*redis.StringCmd, len(parts)),
	}
	var o order
	o.mark, o.reached = c.baseline.expected()
	for n, p := range parts {
		c.session.calls++
		o.after, o.done = w.done, strconv.FormatUint(c.session.calls, 10)
		w.sent[n] = redis.NewStringCmd(ctx, c.args(known.mode, p, o)...)
		_ = w.pipe.Process(ctx, w.sent[n]) // only queues it
		w.done = o.done
	}
	w.wait = c.session.cfg.queueWait(ctx, w.pipe)
	return w
}

// errPanic stands for what became of a window in whose exchange the program panicked.
var errPanic = errors.New("a fault in the program, see the log")

// send begins to exchange the window for answers, and returns it.
func (w *window) send(ctx context.Context) *window {
	if w != nil {
		under := make(chan error, 1)
		w.under = under
		go func() {
			err := errPanic
			defer func() { under <- err }()
			defer trouble.Contain(w.log, "send events to Redis")
			_, err = w.pipe.Exec(ctx)
		}()
		runtime.Gosched() // let it be on its way before the next window is made
	}
	return w
}

// await returns when the exchange is over, at once if it was not begun, and reports whether all of the window is stored: its last part is
// only if all before it are.
func (w *window) await() (whole bool) {
	if w == nil {
		return false
	}
	if w.under != nil {
		w.err, w.under = <-w.under, nil
	}
	last := w.sent[len(w.sent)-1].Val()
	return w.err == nil && last != "" && !strings.Contains(last, "!")
}

// Package trouble logs why a publisher has no way to its stream: at once when the reason changes, else now and then, and how long it
// lasted when it is over.
package trouble

import (
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// Every is how often a trouble that stays the same is logged.
const Every = time.Minute

// Trouble is that of one publisher. Its zero value, with a name, is none.
type Trouble struct {
	Name string // of the broker, for the log: "NATS JetStream"

	text     string
	since    time.Time
	loggedAt time.Time
}

// Note takes how the last attempt went, at a moment; err is nil if it went well.
func (t *Trouble) Note(log *zap.Logger, err error, now time.Time) {
	switch {
	case err == nil && t.text == "":
		return
	case err == nil:
		log.Info(t.Name+" is ready again", zap.Duration("after", now.Sub(t.since)))
		*t = Trouble{Name: t.Name}
		return
	case t.text == "":
		t.since = now
	case t.text == err.Error() && now.Sub(t.loggedAt) < Every:
		return
	}
	t.text, t.loggedAt = err.Error(), now
	log.Warn(t.Name+" is not ready; nothing is lost, events wait", zap.Error(err))
}

// Contain is deferred in goroutines and callbacks that no caller waits for. A panic in one is
// logged with its stack, and ends what it was doing alone: other sources share the process.
func Contain(log *zap.Logger, doing string) {
	if value := recover(); value != nil {
		log.Error("panic", zap.String("doing", doing), zap.String("panic", fmt.Sprint(value)),
			zap.ByteString("stack", debug.Stack()), zap.String("next", "report it with these lines"))
	}
}

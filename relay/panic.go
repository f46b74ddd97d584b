package relay

import (
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"
)

// panicError is a panic in the work of one relay. It ends the session as any error does: the other
// relays of the process go on.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// contained calls work, and returns its panic as an error. Each goroutine of a session is
// contained.
func contained(work func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	return work()
}

// panicked notes a panic.
func (t *tracker) panicked(err *panicError) {
	t.metrics.panics.Inc()
	t.lines.error("panic ended a session", zap.String("panic", fmt.Sprint(err.value)), zap.ByteString("stack", err.stack),
		zap.String("next", "report it with these lines; a new session has begun"))
}

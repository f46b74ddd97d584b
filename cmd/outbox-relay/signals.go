package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// oneWish is for how long further signals count as the first: a terminal, a supervisor or a wrapper such as timeout(1) often sends
// one to the process and one more to its group.
const oneWish = time.Second

// untilSignal returns a context that ends at the first SIGINT or SIGTERM. A second one, at least grace later, ends the process at
// once, through exit. release gives the signals back to the system.
func untilSignal(parent context.Context, grace time.Duration, stderr io.Writer, exit func(code int)) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(parent)
	received := make(chan os.Signal, 2)
	released := make(chan struct{})
	signal.Notify(received, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if _, ok := next(received, released); !ok {
			return
		}
		first := time.Now()
		cancel()
		for {
			second, ok := next(received, released)
			if !ok {
				return
			}
			if time.Since(first) >= grace {
				writeWithin(flushTimeout, stderr, fmt.Appendf(nil, "outbox-relay: second signal (%s), stopped at once\n", second))
				exit(codeFailure)
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(received)
		close(released)
		cancel()
	}
}

func next(received <-chan os.Signal, released <-chan struct{}) (os.Signal, bool) {
	select {
	case s := <-received:
		return s, true
	case <-released:
		return nil, false
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Handler does what an event asks for. It may get an event again, and the same event from two readers at once.
type Handler interface {
	// Handle returns whether it did something, which is false for an event that it has seen. After errEarly the event comes again
	// a second later, and after any other error but errForeign too, before any other.
	Handle(ctx context.Context, e Event) (isNew bool, err error)
}

var (
	// errEarly says that an earlier event of the key has not come yet: the other broker has it.
	errEarly = errors.New("an earlier event of the key is missing")
	// errForeign says that this is no event of the relay's, or none that anybody could handle. It never gets better.
	errForeign = errors.New("not an event that can be handled")
)

// work hands the events of one broker to the handler.
type work struct {
	Handler
	log *slog.Logger

	handled, seen, rehomed int
}

// do handles an event, and tries again while that fails. It returns nil if the event is to be acknowledged, and otherwise errEarly, or
// the error of ctx.
func (w *work) do(ctx context.Context, e Event, broken error) error {
	for {
		isNew, err := false, broken
		if err == nil {
			isNew, err = w.Handle(ctx, e)
		}
		switch {
		case err == nil:
			w.count(e, isNew)
			return nil
		case errors.Is(err, errForeign):
			w.log.Error("left out for good", "event_id", e.ID, "subject", e.Subject, "error", err)
			return nil
		case errors.Is(err, errEarly):
			return err
		}
		w.log.Warn("cannot handle an event; trying again", "event_id", e.ID, "error", err)
		if !pause(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

func (w *work) count(e Event, isNew bool) {
	if isNew {
		w.handled++
	} else {
		w.seen++
	}
	if e.Rehomed {
		w.rehomed++
	}
}

// forever reads until ctx ends. A broker that is away is asked again every second.
func (w *work) forever(ctx context.Context, read func(context.Context) error) error {
	for {
		err := read(ctx)
		if ctx.Err() == nil {
			w.log.Warn("cannot read; trying again", "error", err)
		}
		if !pause(ctx, time.Second) {
			w.log.Info("stopped", "handled", w.handled, "seen_before", w.seen, "rehomed", w.rehomed)
			return nil
		}
	}
}

// pause waits, and returns false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

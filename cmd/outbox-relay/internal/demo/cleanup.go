package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// cleanupTimeout bounds the whole of the cleaning up.
const cleanupTimeout = time.Minute

// cleanup remembers what must be undone, and undoes it in reverse. The zero value is ready.
type cleanup struct{ steps []step }

type step struct {
	name string
	undo func(ctx context.Context) error
}

// later adds a step; its name completes the sentence "could not ...".
func (c *cleanup) later(name string, undo func(ctx context.Context) error) {
	c.steps = append(c.steps, step{name: name, undo: undo})
}

// run undoes everything, also when a step fails, on a context that no stop reaches.
func (c *cleanup) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	var errs []error
	for len(c.steps) > 0 {
		last := c.steps[len(c.steps)-1]
		c.steps = c.steps[:len(c.steps)-1]
		if err := last.undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("could not %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}

package harness

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, removes what they shared, and ends the process. The process ends with 1 when a
// test failed or when, after everything was removed, goroutines are left over that the tests started.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	before := goleak.IgnoreCurrent()
	code = m.Run()
	Shutdown()
	if code != 0 {
		return code
	}
	if err := findLeaks(before); err != nil {
		fmt.Fprintf(os.Stderr, "goroutines outlive the tests: %v\n", err)
		return 1
	}
	return 0
}

// leakPatience is for how long goroutines may go on when everything is closed: the pool of go-redis looks once a second whether it is,
// after a server was away.
const leakPatience = 3 * time.Second

func findLeaks(before goleak.Option) error {
	for deadline := time.Now().Add(leakPatience); ; {
		err := goleak.Find(before)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Shutdown removes the shared servers and files of this process. [Main] calls it; a package with a TestMain of its own calls it
// after the last test. Whatever cannot be removed is reported on standard error and left to the next run.
func Shutdown() {
	for _, clean := range shared.take() {
		if err := clean(); err != nil {
			fmt.Fprintf(os.Stderr, "harness: %v\n", err)
		}
	}
}

// shared holds what Shutdown has to undo.
var shared cleanups

type cleanups struct {
	mu    sync.Mutex
	funcs []func() error
}

func (c *cleanups) add(clean func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.funcs = append(c.funcs, clean)
}

// take returns the cleanups, the youngest first, and forgets them.
func (c *cleanups) take() []func() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.funcs
	c.funcs = nil
	slices.Reverse(taken)
	return taken
}

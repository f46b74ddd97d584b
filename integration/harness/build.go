package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// BuildRelay builds cmd/outbox-relay, once in a test process, and returns the path of the program: for tests that run
// the relay as a process of its own, to kill it.
func BuildRelay(tb testing.TB) string {
	tb.Helper()
	return built(tb, buildRelay)
}

// BuildConsumer does the same with integration/consumer.
func BuildConsumer(tb testing.TB) string {
	tb.Helper()
	return built(tb, buildConsumer)
}

var (
	buildRelay    = sync.OnceValues(func() (string, error) { return build("cmd/outbox-relay") })
	buildConsumer = sync.OnceValues(func() (string, error) { return build("integration/consumer") })
)

func built(tb testing.TB, program func() (string, error)) string {
	tb.Helper()
	path, err := program()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// build builds the program in a folder of the module.
func build(program string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "outbox-relay-*")
	if err != nil {
		return "", err
	}
	shared.add(func() error { return os.RemoveAll(folder) })
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	path := filepath.Join(folder, filepath.Base(program))
	command := exec.CommandContext(ctx, "go", "build", "-o", path, "./"+program)
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", program, err, output)
	}
	return path, nil
}

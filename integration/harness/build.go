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
	path, err := buildRelay()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

var buildRelay = sync.OnceValues(func() (string, error) {
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
	path := filepath.Join(folder, "outbox-relay")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/outbox-relay")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the relay: %w\n%s", err, output)
	}
	return path, nil
})

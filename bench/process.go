package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second // for a program to be ready
	stopTimeout  = 15 * time.Second // for a program to end after SIGTERM
)

// process is a program that is measured.
type process struct {
	cmd  *exec.Cmd
	log  tail
	done chan struct{} // closed when it has ended
	err  error         // how it ended
}

// launch starts a program and returns when ready says so.
func launch(ctx context.Context, cmd *exec.Cmd, ready func(context.Context, *process) bool) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = &p.log
	if cmd.Stdout == nil {
		cmd.Stdout = &p.log
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	waiting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !ready(waiting, p) {
		if p.ended() || !sleep(waiting, 5*time.Millisecond) {
			_ = p.stop() // the error that counts is that it was not ready
			return nil, fmt.Errorf("%s is not ready after %s; it said: %s", cmd.Path, startTimeout, p.log.text())
		}
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks the program to end, and returns an error unless it ends cleanly.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s after SIGTERM; it said: %s", p.cmd.Path, stopTimeout, p.log.text())
	}
	if p.err != nil {
		return fmt.Errorf("%s ended with %w; it said: %s", p.cmd.Path, p.err, p.log.text())
	}
	return nil
}

// tail keeps the end of what a program says.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// tailSize is how many bytes are kept.
const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	t.kept = t.kept[max(0, len(t.kept)-tailSize):]
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}

// saidReady is for programs that print readyLine.
func saidReady(_ context.Context, p *process) bool { return strings.Contains(p.log.text(), readyLine) }

// answersReady is for a relay whose admin server has this address.
func answersReady(address string) func(context.Context, *process) bool {
	return func(ctx context.Context, _ *process) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
		if err != nil {
			return false
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close() // nothing of it is read
		return answer.StatusCode == http.StatusOK
	}
}

// freeAddress returns an address of this machine on which nobody listens.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// environment returns this program's own without the relay's settings, and with those given.
func environment(settings ...string) []string {
	var env []string
	for _, each := range os.Environ() {
		if !strings.HasPrefix(each, "OUTBOX_") {
			env = append(env, each)
		}
	}
	return append(env, settings...)
}

// sleep returns false when ctx ended before the time was over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

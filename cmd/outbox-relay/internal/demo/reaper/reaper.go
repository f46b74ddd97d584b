package reaper

import (
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

//go:embed reap.sh
var script string

// Reaper is the waiting shell. Its methods may be called from any goroutine. Use [Start].
type Reaper struct {
	mu   sync.Mutex
	pipe io.WriteCloser
	cmd  *exec.Cmd
}

// Start starts a reaper that has nothing to clean up yet. It needs /bin/sh.
func Start() (*Reaper, error) {
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = "/"
	ownGroup(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("reaper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("reaper: %w", err)
	}
	return &Reaper{pipe: pipe, cmd: cmd}, nil
}

// Postgres names the data directory of a Postgres that must not outlive the demo.
func (r *Reaper) Postgres(dataDirectory string) error { return r.tell("postgres", dataDirectory) }

// Container names a Docker container that must not outlive the demo; it may be named before it exists.
func (r *Reaper) Container(name string) error { return r.tell("container", name) }

// Directory names the directory to remove, after everything else.
func (r *Reaper) Directory(path string) error { return r.tell("directory", path) }

func (r *Reaper) tell(what, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintf(r.pipe, "%s %s\n", what, value); err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	return nil
}

// Release says that the demo has cleaned up itself, and waits until the reaper has gone without touching anything.
func (r *Reaper) Release() error {
	if err := r.tell("released", ""); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.pipe.Close(); err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("reaper: %w", err)
	}
	return nil
}

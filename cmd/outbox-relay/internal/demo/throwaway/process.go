package throwaway

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running child. ended is closed when it has ended; err is valid from then on.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

// startProcess starts cmd as who, in a process group of its own, so that Ctrl-C reaches the demo alone. Where the operating
// system can, it takes the child down with the demo.
func startProcess(cmd *exec.Cmd, who *identity) (*process, error) {
	if err := detach(cmd, who); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The parent of Pdeathsig is the thread, not the process: this one must last as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// run starts cmd and waits for its end; when ctx ends first, the child is killed.
func run(ctx context.Context, cmd *exec.Cmd, who *identity) error {
	p, err := startProcess(cmd, who)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		p.signal(syscall.SIGKILL)
		<-p.ended
		return context.Cause(ctx)
	}
}

// stop asks the child to end with each signal in turn, and gives it patience to follow before the next one.
func (p *process) stop(patience time.Duration, signals ...os.Signal) {
	for _, s := range signals {
		p.signal(s)
		select {
		case <-p.ended:
			return
		case <-time.After(patience):
		}
	}
	<-p.ended
}

// signal sends s; a child that has ended meanwhile needs none.
func (p *process) signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Process.Kill() // the system does not know s
	}
}

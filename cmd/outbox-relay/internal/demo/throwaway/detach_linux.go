package throwaway

import (
	"os/exec"
	"syscall"
)

// detach sets how the child is started. The kernel sends it SIGQUIT, which to Postgres means "end at once and clean up", when
// the demo is gone, whatever it died of.
func detach(cmd *exec.Cmd, who *identity) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: credential(who)}
	return nil
}

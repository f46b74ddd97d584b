//go:build unix && !linux

package throwaway

import (
	"os/exec"
	"syscall"
)

// detach sets how the child is started. This system has no signal for the death of a parent: the reaper is what ends the
// child then.
func detach(cmd *exec.Cmd, who *identity) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential(who)}
	return nil
}

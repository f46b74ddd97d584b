//go:build unix

package throwaway

import "syscall"

// credential returns what the system needs to start a child as who, and nil for the user of the demo.
func credential(who *identity) *syscall.Credential {
	if who == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
}

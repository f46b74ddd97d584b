//go:build !unix

package throwaway

import (
	"errors"
	"os/exec"
)

// detach refuses: without process groups and signals a child cannot be ended cleanly.
func detach(*exec.Cmd, *identity) error {
	return errors.New("this system cannot run a Postgres of the demo's own")
}

package demo

import (
	"fmt"
	"os"
	"path/filepath"
)

// makeWorkdir makes the directory in which everything of a demo lies. For root it is one that the unprivileged user of
// Postgres can reach, which root's own temporary directory may not be.
func makeWorkdir(euid int) (string, error) {
	if euid != 0 {
		return os.MkdirTemp("", "outbox-demo-")
	}
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if !passable(parent) {
			continue
		}
		dir, err := os.MkdirTemp(parent, "outbox-demo-")
		if err != nil {
			return "", err
		}
		return dir, os.Chmod(dir, 0o711) //nolint:gosec // Postgres' user passes through; what is inside has modes of its own
	}
	return "", fmt.Errorf("no directory for temporary files that other users than root may enter: set TMPDIR to one")
}

// passable tells whether every user may go through path and all directories above it.
func passable(path string) bool {
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if parent := filepath.Dir(path); parent != path {
			path = parent
			continue
		}
		return true
	}
}

//go:build unix

package reaper

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReleasedReaperTouchesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := Start()
	require.NoError(t, err)
	require.NoError(t, r.Directory(dir))
	require.NoError(t, r.Release())
	assert.DirExists(t, dir)
}

func TestReaperRemovesTheDirectoryOfADemoThatIsGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo with a space")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	r, err := Start()
	require.NoError(t, err)
	require.NoError(t, r.Directory(dir))
	abandon(t, r)
	assert.NoDirExists(t, dir)
}

func TestReaperStopsThePostgresOfADemoThatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := pretendPostgres(t, dir)
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	r, err := Start()
	require.NoError(t, err)
	require.NoError(t, r.Postgres(dir))
	abandon(t, r)

	var exit *exec.ExitError
	require.ErrorAs(t, <-ended, &exit)
	assert.Equal(t, syscall.SIGQUIT, exit.Sys().(syscall.WaitStatus).Signal())
}

func TestReaperLeavesAProcessThatIsNoPostgres(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writePid(t, dir, os.Getpid())
	r, err := Start()
	require.NoError(t, err)
	require.NoError(t, r.Postgres(dir))
	abandon(t, r)
}

// abandon does what the kernel does when the demo is gone, and waits for the reaper's end.
func abandon(t *testing.T, r *Reaper) {
	t.Helper()
	require.NoError(t, r.pipe.Close())
	require.NoError(t, r.cmd.Wait())
}

// pretendPostgres starts a process whose name is postgres and puts its number where Postgres puts it.
func pretendPostgres(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	program := filepath.Join(dir, "postgres")
	require.NoError(t, os.Symlink(sleep, program))
	cmd := exec.Command(program, "60")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	writePid(t, dir, cmd.Process.Pid)
	return cmd
}

func writePid(t *testing.T, dir string, pid int) {
	t.Helper()
	text := strconv.Itoa(pid) + "\n" + dir + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(text), 0o600))
}

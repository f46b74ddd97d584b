//go:build unix

package relay

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	pausedEnv   = "OUTBOX_TEST_PAUSED"
	pausedLease = 20 * time.Millisecond
)

// TestMaySendAfterAPause stops a process that sends as fast as it can, and lets it go on when its lease is over. Between MaySend and what is
// sent always lies an instruction where it may be stopped, which one to five of a hundred pauses hit here. Were the look at the clock a
// system call alone, where a process is stopped as a rule, 20 to 40 of them would.
func TestMaySendAfterAPause(t *testing.T) {
	t.Parallel()
	if os.Getenv(pausedEnv) != "" {
		sendUntilTheFence(t)
		return
	}
	program, err := os.Executable()
	require.NoError(t, err)
	network, err := os.Create(filepath.Join(t.TempDir(), "network"))
	require.NoError(t, err)
	sent := func() int64 {
		about, err := network.Stat()
		require.NoError(t, err)
		return about.Size()
	}
	child := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), pausedEnv+"=1")
	child.ExtraFiles = []*os.File{network}
	orders, err := child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	words := bufio.NewReader(output)

	const rounds = 200
	inTime, late := 0, 0
	for range rounds {
		before := sent()
		_, err := orders.Write([]byte{'\n'})
		require.NoError(t, err)
		<-time.After(rand.N(pausedLease / 2))
		require.NoError(t, child.Process.Signal(syscall.SIGSTOP))
		var state syscall.WaitStatus
		_, err = syscall.Wait4(child.Process.Pid, &state, syscall.WUNTRACED, nil)
		require.NoError(t, err)
		require.True(t, state.Stopped())
		<-time.After(pausedLease) // it ends
		after := sent()
		require.NoError(t, child.Process.Signal(syscall.SIGCONT))
		_, err = words.ReadByte()
		require.NoError(t, err)
		if after == before {
			continue // stopped before it began
		}
		if inTime++; sent() > after {
			late++
		}
	}
	require.NoError(t, orders.Close())
	_, err = io.Copy(io.Discard, words)
	require.NoError(t, err)
	require.NoError(t, child.Wait())
	require.NoError(t, network.Close())
	t.Logf("%d of %d pauses were followed by a part that came too late", late, inTime)
	require.Greater(t, inTime, rounds/2)
	require.LessOrEqual(t, late, rounds/8)
}

// sendUntilTheFence is the process that is stopped. Each line that it reads gives it a lease; it says when that is over.
func sendUntilTheFence(t *testing.T) {
	orders := bufio.NewReader(os.Stdin)
	part := make([]byte, 64)
	for {
		switch _, err := orders.ReadByte(); {
		case errors.Is(err, io.EOF):
			return
		default:
			require.NoError(t, err)
		}
		var f fence
		f.move(sinceBoot(), pausedLease)
		for publishing := f.guard(t.Context()); MaySend(publishing); {
			_, err := syscall.Write(3, part)
			require.NoError(t, err)
		}
		_, err := os.Stdout.Write([]byte{'\n'})
		require.NoError(t, err)
	}
}

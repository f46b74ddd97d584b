package main

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Threads that are there and those that come later give way, but for one whose policy was chosen. Each keeps its priority.
func TestEveryThreadGivesWay(t *testing.T) {
	t.Parallel()
	chosen := startThread(t, func(thread int) error {
		return unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
	})
	nice := startThread(t, func(thread int) error { return unix.Setpriority(unix.PRIO_PROCESS, thread, 3) })
	require.NoError(t, giveWay())
	startThread(t, func(int) error { return nil })
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, each := range threads {
		id, err := strconv.Atoi(each.Name())
		require.NoError(t, err)
		attr, err := unix.SchedGetAttr(id, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		require.NoError(t, err)
		require.NotEqualValues(t, unix.SCHED_NORMAL, attr.Policy)
		if id == chosen {
			require.EqualValues(t, unix.SCHED_IDLE, attr.Policy)
		}
		if id == nice {
			require.EqualValues(t, 3, attr.Nice)
		}
	}
}

// startThread returns a thread for which set was called. It lasts as long as the test.
func startThread(t *testing.T, set func(thread int) error) int {
	ids, stop, ended := make(chan int), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		id := unix.Gettid()
		if err := set(id); err != nil {
			t.Error(err)
		}
		ids <- id
		<-stop
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
	return <-ids
}

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// giveWay makes every thread of the process SCHED_BATCH, see sched(7): a thread of the relay that wakes up does not interrupt one of the
// game, of its database or of its broker, which would lose its processor in the midst of the work that the relay waits for. Its share
// of a processor stays the same, and one that is idle takes it up at once. A policy that somebody has chosen stands. It needs no privilege.
func giveWay() error {
	const passes = 10 // a thread has the policy of the one that made it, so that the second finds nothing to change, as a rule
	for range passes {
		changed, err := giveWayEverywhere()
		if err != nil {
			return fmt.Errorf("set the scheduling policy: %w", err)
		}
		if !changed {
			return nil
		}
	}
	return errors.New("set the scheduling policy: the system does not keep it")
}

func giveWayEverywhere() (changed bool, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, err
	}
	for _, each := range threads {
		id, err := strconv.Atoi(each.Name())
		if err != nil {
			return false, err
		}
		set, err := giveWayIn(id)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
			return false, err
		}
		changed = changed || set
	}
	return changed, nil
}

func giveWayIn(thread int) (changed bool, err error) {
	now, err := unix.SchedGetAttr(thread, 0)
	if err != nil || now.Policy != unix.SCHED_NORMAL {
		return false, err
	}
	return true, unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Flags: now.Flags, Nice: now.Nice}, 0)
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processTime returns the CPU time that a process has used, to the nanosecond, by its own clock: see clock_getcpuclockid(3).
func processTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// treeTime returns the CPU time that a server has used: its process, those below it, and those that it has seen end.
func treeTime(root int) (time.Duration, error) {
	return sumOfTree(root, func(pid int) (time.Duration, error) {
		own, err := processTime(pid)
		ended, err2 := endedChildren(pid)
		return own + ended, errors.Join(err, err2)
	})
}

// treeWait returns for how long the threads of a server had work and no core: what /proc/PID/task/*/schedstat says, see sched-stats.rst
// of the kernel. Threads that have ended are not counted.
func treeWait(root int) (time.Duration, error) {
	return sumOfTree(root, func(pid int) (total time.Duration, err error) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, name := range threads {
			text, err := os.ReadFile(name)
			fields := strings.Fields(string(text))
			if err != nil || len(fields) < 2 {
				continue // it has just ended
			}
			waited, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", name, err)
			}
			total += time.Duration(waited)
		}
		return total, err
	})
}

// sumOfTree adds up what is known of a process and of those below it. One that has just ended is left out: it counts with its parent.
func sumOfTree(root int, of func(pid int) (time.Duration, error)) (total time.Duration, err error) {
	parents, err := parentsOfAll()
	if err != nil {
		return 0, err
	}
	for pid := range parents {
		if !below(pid, root, parents) {
			continue
		}
		if each, err := of(pid); err == nil {
			total += each
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("nothing is known of a process %d; was the server restarted?", root)
	}
	return total, nil
}

// below tells whether a process is root or one of its descendants.
func below(pid, root int, parents map[int]int) bool {
	for pid > 1 {
		if pid == root {
			return true
		}
		pid = parents[pid]
	}
	return false
}

func parentsOfAll() (map[int]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	parents := make(map[int]int)
	for _, each := range entries {
		pid, err := strconv.Atoi(each.Name())
		if err != nil {
			continue
		}
		if fields := statFields(pid); len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(fields[1]) // the kernel writes a number
		}
	}
	return parents, nil
}

// statFields returns what /proc/PID/stat says behind the name, from the state on; nil if the process has ended. See proc(5).
func statFields(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	behindName := string(text[strings.LastIndexByte(string(text), ')')+1:])
	return strings.Fields(behindName)
}

// endedChildren returns what the children have used that have ended, to a hundredth of a second.
func endedChildren(pid int) (time.Duration, error) {
	const userOfChildren, systemOfChildren = 13, 14 // cutime and cstime
	const tick = 10 * time.Millisecond
	fields := statFields(pid)
	if len(fields) <= systemOfChildren {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	user, err := strconv.ParseInt(fields[userOfChildren], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[systemOfChildren], 10, 64)
	return time.Duration(user+system) * tick, err
}

// machineTime returns the CPU time that everybody on this machine has used, and what the host of a virtual machine has given to others
// instead, to a hundredth of a second. See proc(5), /proc/stat.
func machineTime() (time.Duration, error) {
	const idle, iowait, guest = 4, 5, 9 // not used, not used, counted already
	const tick = 10 * time.Millisecond
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	var ticks int64
	for i, field := range strings.Fields(first) {
		if i == 0 || i == idle || i == iowait || i >= guest {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// peakMemory returns the most memory that a process has had at once, in bytes (VmHWM).
func peakMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmHWM", pid)
}

// connections counts the TCP connections of a process to a port.
func connections(pid, port int) (int, error) {
	links, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, err
	}
	sockets := make(map[string]bool)
	for _, each := range links {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, each.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	found := 0
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			const remote, state, inode, established = 2, 3, 9, "01"
			fields := strings.Fields(line)
			if len(fields) > inode && sockets[fields[inode]] && fields[state] == established &&
				strings.HasSuffix(fields[remote], fmt.Sprintf(":%04X", port)) {
				found++
			}
		}
	}
	return found, nil
}

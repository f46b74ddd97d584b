//go:build !linux

package main

import (
	"errors"
	"time"
)

// errNoProc says that the costs of processes can only be measured on Linux; rates and latencies can anywhere.
var errNoProc = errors.New("the CPU time and memory of other processes are only known on Linux")

func processTime(int) (time.Duration, error) { return 0, errNoProc }
func treeTime(int) (time.Duration, error)    { return 0, errNoProc }
func treeWait(int) (time.Duration, error)    { return 0, errNoProc }
func machineTime() (time.Duration, error)    { return 0, errNoProc }
func peakMemory(int) (int64, error)          { return 0, errNoProc }
func connections(int, int) (int, error)      { return 0, errNoProc }

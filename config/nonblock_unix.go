//go:build unix

package config

import "syscall"

// nonBlock lets a pipe be opened that has no writer.
const nonBlock = syscall.O_NONBLOCK

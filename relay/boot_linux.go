package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is a clock that nobody sets and that does not stand still while this process or its host sleeps, see clock_gettime(2).
func sinceBoot() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // it has been there since Linux 2.6.39
	return time.Duration(now.Nano())
}

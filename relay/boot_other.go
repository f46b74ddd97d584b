//go:build !linux

package relay

import "time"

var started = time.Now()

// sinceBoot is a clock that nobody sets. It may stand still while the host sleeps.
func sinceBoot() time.Duration { return time.Since(started) }

package main

import (
	"os"
	"runtime"
)

// leaveProcessors leaves half of the processors to the others on the machine, for a relay runs beside the game, its database or its broker
// and needs one for 200,000 events a second. More of them cost more than they give: where few events come, the runtime wakes one to hand it
// the work of the other. The number stands where somebody has set GOMAXPROCS, which the runtime reads. It returns the number.
func leaveProcessors() int {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(half(runtime.GOMAXPROCS(0)))
	}
	return runtime.GOMAXPROCS(0)
}

func half(processors int) int { return max(1, processors/2) }

package display

import (
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
)

// View is what the person in front of the screen sees at one moment.
type View struct {
	Phase    string // what goes on, in a few words
	Elapsed  time.Duration
	Duration time.Duration // how long the game is to last
	Rate     int           // events a second that are wanted

	Account   account.Snapshot
	Published uint64 // acknowledged, as the relay counts it
	Backlog   int64  // rows that wait, as the database counts them
	Failed    int64  // transactions of the game that failed and were not meant to
}

// Display is a screen. Its methods are called by one goroutine.
type Display interface {
	// Say prints a line that stays.
	Say(line string)
	// Show brings the live account up to date.
	Show(v View)
	// Finish shows the account for the last time and leaves it on the screen.
	Finish(v View)
	// Interval is how often Show is worth calling.
	Interval() time.Duration
}

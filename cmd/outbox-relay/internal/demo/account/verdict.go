package account

import (
	"fmt"
	"strings"
)

// Balanced says that nothing was lost, duplicated, out of order or leaked, that nothing foreign was received, and that
// no commit is left in doubt. It is meant for the snapshot of [Account.Close].
func (s Snapshot) Balanced() bool { return len(s.Faults()) == 0 }

// Faults names everything that keeps the account from balancing, a phrase each.
func (s Snapshot) Faults() []string {
	var faults []string
	for _, f := range []struct {
		n    int
		text string
	}{
		{s.Lost, "committed and never received (lost)"},
		{s.Duplicated, "received more than once (duplicated)"},
		{s.OutOfOrder, "received after a later event of the same player (out of order)"},
		{s.Leaked, "received although their transaction was rolled back (leaked)"},
		{s.Foreign, "received that the game never wrote (foreign)"},
		{s.InDoubt, "whose commit could not be resolved (in doubt)"},
	} {
		if f.n > 0 {
			faults = append(faults, fmt.Sprintf("%d %s %s", f.n, plural(f.n, "event"), f.text))
		}
	}
	return faults
}

// Verdict says in plain words what the account came to.
func (s Snapshot) Verdict() string {
	if faults := s.Faults(); len(faults) > 0 {
		return "The account does NOT balance: " + strings.Join(faults, "; ") + "."
	}
	if s.Committed == 0 {
		return "No event was committed, so nothing was shown."
	}
	return fmt.Sprintf("The account balances: all %d committed events were received exactly once and in the order of their player, "+
		"and none of the %d rolled-back ones was seen.", s.Committed, s.RolledBack)
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

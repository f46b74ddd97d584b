package account

import "time"

// Snapshot is the account at one moment.
type Snapshot struct {
	Committed  int // events committed
	Received   int // everything the client got, copies included
	Delivered  int // committed events received at least once
	Waiting    int // committed events not received yet
	Lost       int // see the package's documentation; while the game runs, the ones overtaken by a later event of their key
	Duplicated int
	OutOfOrder int
	RolledBack int // events of rolled-back transactions
	Leaked     int // of those, how many were received: must be 0
	Foreign    int
	InDoubt    int

	// ToStored and ToReceived are how long events took from the return of their commit.
	ToStored, ToReceived Latency
}

// Latency is two quantiles of a latency, 0 when nothing was measured.
type Latency struct{ P50, P99 time.Duration }

// Snapshot returns the account as it stands while the game runs. An event that was received before the game had the time to
// note its commit is not held against anyone yet: only [Account.Close] counts those as foreign.
func (a *Account) Snapshot() Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.snapshot()
}

func (a *Account) snapshot() Snapshot {
	c := a.count
	return Snapshot{
		Committed: c.committed, Received: c.messages, Delivered: c.delivered, Waiting: c.committed - c.delivered,
		Lost: c.overtaken, Duplicated: c.copies, OutOfOrder: c.late,
		RolledBack: c.rolledBack, Leaked: c.leaked, Foreign: c.unreadable, InDoubt: c.inDoubt,
		ToStored:   a.toStored.latency(),
		ToReceived: a.toReceived.latency(),
	}
}

func (h *histogram) latency() Latency {
	return Latency{P50: h.quantile(0.50), P99: h.quantile(0.99)}
}

// Close returns the account after the game has stopped and the client has read the stream to its end: every committed event that is
// missing is lost, and everything received that the game does not know is foreign.
func (a *Account) Close() Snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.snapshot()
	s.Lost = s.Waiting
	for _, en := range a.entries {
		if en.fate == unknown {
			s.Foreign++
		}
	}
	return s
}

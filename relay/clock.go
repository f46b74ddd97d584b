package relay

import (
	"sync/atomic"
	"time"
)

// clock translates this host's time into the database's, by which events are dated.
type clock struct{ offset atomic.Int64 }

// set learns the offset: the database's clock showed now at some moment between began and ended.
func (c *clock) set(now, began, ended time.Time) {
	middle := began.Add(ended.Sub(began) / 2)
	c.offset.Store(int64(now.Sub(middle)))
}

// age returns how old an event is at a moment of this host's time; never negative.
func (c *clock) age(created, at time.Time) time.Duration {
	return max(0, at.Sub(created)+time.Duration(c.offset.Load()))
}

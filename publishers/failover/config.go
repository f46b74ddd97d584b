package failover

import (
	"time"

	"github.com/gameoutbox/relay/relay"
)

// Config holds the settings of the section "failover". Start from [DefaultConfig].
type Config struct {
	// After is for how long the primary must have been unavailable before the fallback is used, at
	// least 1 s. It is longer than a restart of a server or the election of a leader takes, for a
	// switch costs more than such a pause.
	After time.Duration `yaml:"after"`
	// FailbackAfter is for how long the primary must have been healthy before it is used again, at
	// least 1 s. It is longer than After: a broker that has just recovered from an outage may fail
	// again.
	FailbackAfter time.Duration `yaml:"failback_after"`
	// Rehome says whether the primary gets, when it is back, the events that only the fallback got.
	// Without it a primary that left events without an answer may still get up to four of those:
	// they show whether it stores events again.
	Rehome bool `yaml:"rehome"`
}

// DefaultConfig returns the settings that hold when nobody sets any.
func DefaultConfig() Config {
	return Config{After: 10 * time.Second, FailbackAfter: 30 * time.Second, Rehome: true}
}

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError].
func (c Config) Validate() error {
	var v relay.Fields
	v.Check(c.After >= time.Second, "after", c.After, "1s or more")
	v.Check(c.FailbackAfter >= time.Second, "failback_after", c.FailbackAfter, "1s or more")
	return v.Err()
}

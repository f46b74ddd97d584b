package relay

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the settings of the engine, the section "relay" of the configuration. Start from [DefaultConfig].
type Config struct {
	// BatchEvents is the most events that one batch holds, 1 to 65536. A batch is what one Publish call gets.
	BatchEvents int `yaml:"batch_events"`
	// BatchBytes is the most bytes that one batch holds, 64 KiB to 1 GiB; a batch always holds at least one event. The relay
	// keeps at most three batches in memory.
	BatchBytes int `yaml:"batch_bytes"`
	// PollInterval is the longest pause between two looks at an idle table where writers cannot wake the relay, 1 ms to 1 min: behind
	// a pooler, and where the server has max_prepared_transactions. After an event the relay looks more often, so it bounds the latency of
	// the first event after a quiet time.
	PollInterval time.Duration `yaml:"poll_interval"`
	// SweepInterval is the time between two safety sweeps for events behind the reader, at least 1 s. The sweep is a
	// net under the reader; outbox_relay_sweep_found_total counts what it catches, which should stay 0.
	SweepInterval time.Duration `yaml:"sweep_interval"`
	// Retention is for how long an acknowledged event is kept in the table, at least 1 s, or 0: then its row is deleted at once. What
	// is kept can be sent again should the broker lose it, so this is longer than the 2 minutes after which JetStream
	// writes to disk what it has acknowledged (its sync_interval).
	Retention time.Duration `yaml:"retention"`
	// Heal says what is done about a stream that has lost acknowledged events.
	Heal Heal `yaml:"heal"`
	// MaxAttempts is how often an event is tried that the broker answers with an error of unknown kind, before it becomes
	// a dead letter. 0 means for ever. An outage spends no attempt.
	MaxAttempts int `yaml:"max_attempts"`
	// AfterDeadLetter says what becomes of the later events of a key when one became a dead letter.
	AfterDeadLetter AfterDeadLetter `yaml:"after_dead_letter"`
	// BackoffMin and BackoffMax bound the pause after a failure. It doubles from the one to the other, with jitter.
	BackoffMin time.Duration `yaml:"backoff_min"`
	BackoffMax time.Duration `yaml:"backoff_max"`
	// Lease is for how long the leading relay has the outbox to itself, 1 s to 1 min. It renews that several times meanwhile. A leader that
	// dies is followed within this time and a second; one that cannot reach the database for nearly this long stops publishing.
	Lease time.Duration `yaml:"lease"`
	// ShutdownTimeout bounds a clean stop, 100 ms or more: within it the batch in flight is acknowledged and settled.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`
}

// Heal says what a relay does about a stream that has lost events which it had acknowledged.
type Heal string

// What can be done about lost events.
const (
	HealAuto   Heal = "auto"   // those that are retained are published again, in order; it is logged and counted
	HealReport Heal = "report" // it is logged and counted
	HealOff    Heal = "off"    // nothing: what the stream lost was meant to go
)

// AfterDeadLetter says what becomes of the later events of a key when one of its events became a dead letter.
type AfterDeadLetter string

// What can become of the later events of the key.
const (
	ContinueKey AfterDeadLetter = "continue" // they are published
	HoldKey     AfterDeadLetter = "hold"     // they wait until the dead letter is retried or discarded; other keys go on
)

// DefaultConfig returns the settings that the relay has when nobody sets any.
func DefaultConfig() Config {
	return Config{
		BatchEvents:     16384,
		BatchBytes:      4 << 20,
		PollInterval:    100 * time.Millisecond,
		SweepInterval:   time.Minute,
		Retention:       5 * time.Minute,
		Heal:            HealAuto,
		MaxAttempts:     20,
		AfterDeadLetter: ContinueKey,
		BackoffMin:      100 * time.Millisecond,
		BackoffMax:      30 * time.Second,
		Lease:           5 * time.Second,
		ShutdownTimeout: 10 * time.Second,
	}
}

// Validate returns every problem of the settings at once, joined; each is a [*FieldError]. It returns nil if there is none.
func (c Config) Validate() error {
	var v Fields
	v.Check(c.BatchEvents >= 1 && c.BatchEvents <= 65536, "batch_events", c.BatchEvents, "1 to 65536")
	v.Check(c.BatchBytes >= 64<<10 && c.BatchBytes <= 1<<30, "batch_bytes", c.BatchBytes, "65536 (64 KiB) to 1073741824 (1 GiB)")
	v.Check(c.PollInterval >= time.Millisecond && c.PollInterval <= time.Minute, "poll_interval", c.PollInterval, "1ms to 1m")
	v.Check(c.SweepInterval >= time.Second, "sweep_interval", c.SweepInterval, "1s or more")
	v.Check(c.Retention == 0 || c.Retention >= time.Second, "retention", c.Retention, "0 (delete at once), or 1s or more")
	v.Check(c.Heal == HealAuto || c.Heal == HealReport || c.Heal == HealOff, "heal", c.Heal, "auto, report or off")
	v.Check(c.MaxAttempts >= 0, "max_attempts", c.MaxAttempts, "0 (for ever) or more")
	v.Check(c.AfterDeadLetter == ContinueKey || c.AfterDeadLetter == HoldKey, "after_dead_letter", c.AfterDeadLetter, "continue or hold")
	v.Check(c.BackoffMin >= time.Millisecond, "backoff_min", c.BackoffMin, "1ms or more")
	v.Check(c.BackoffMax >= c.BackoffMin, "backoff_max", c.BackoffMax, "at least backoff_min")
	v.Check(c.Lease >= time.Second && c.Lease <= time.Minute, "lease", c.Lease, "1s to 1m")
	v.Check(c.ShutdownTimeout >= 100*time.Millisecond, "shutdown_timeout", c.ShutdownTimeout, "100ms or more")
	return v.Err()
}

// FieldError is a setting that cannot be used. Field is the key inside its section, such as "batch_events".
type FieldError struct {
	Field   string
	Value   any
	Allowed string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s is %v, allowed: %s", e.Field, e.Value, e.Allowed)
}

// Fields collects [FieldError]s: the Validate methods of every section use it. The zero value is ready.
type Fields struct{ errs []error }

// Check adds a [FieldError] unless ok.
func (v *Fields) Check(ok bool, field string, value any, allowed string) {
	if !ok {
		v.errs = append(v.errs, &FieldError{Field: field, Value: value, Allowed: allowed})
	}
}

// Err returns what was collected, joined, or nil.
func (v *Fields) Err() error { return errors.Join(v.errs...) }

package demo

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/broker"
)

// maxEvents is the most events that a demo may make: the account keeps each, in about 100 bytes.
const maxEvents = 20_000_000

// minOutage is the shortest game in which an outage can be shown: a third of it is the outage.
const minOutage = 3 * time.Second

// minStandIn is the shortest game in which Redis can be seen to stand in: a third of it is longer than the switches take.
const minStandIn = 12 * time.Second

// Options are what a demo can be asked for. Start from [DefaultOptions].
type Options struct {
	// Duration is how long the game is played.
	Duration time.Duration
	// Rate is how many events a second the game commits, as far as the machine can.
	Rate int
	// Outage stops the JetStream server in the second third of the game.
	Outage bool
	// Keep leaves the servers and their data until Ctrl-C, and says how to look at them. A game that was stopped early
	// keeps nothing.
	Keep bool
	// PostgresURL is a server in which the demo may create a database. Empty means to start a server.
	PostgresURL string
	// RedisURL is a server that stands in for JetStream in the outage. Empty means that events wait.
	RedisURL string

	// Out is where the demo shows itself; Terminal says that it is a terminal.
	Out      io.Writer
	Terminal bool
	// Getenv reads the environment.
	Getenv func(string) string
}

// DefaultOptions returns 20 seconds with 500 events a second. Out and Getenv are left to the caller.
func DefaultOptions() Options {
	return Options{Duration: 20 * time.Second, Rate: 500}
}

// Validate returns every problem of what a person can ask for, joined; nil if there is none.
func (o Options) Validate() error {
	var errs []error
	if o.Duration < time.Second {
		errs = append(errs, fmt.Errorf("--duration is %v, allowed: 1s or more", o.Duration))
	}
	if o.Rate < 1 {
		errs = append(errs, fmt.Errorf("--rate is %d, allowed: 1 or more", o.Rate))
	}
	if o.Outage && o.Duration < minOutage {
		errs = append(errs, fmt.Errorf("--duration is %v, allowed with --outage: %v or more", o.Duration, minOutage))
	}
	if o.RedisURL != "" {
		errs = append(errs, o.validateRedis())
	}
	if events := o.Duration.Seconds() * float64(o.Rate); events > maxEvents {
		errs = append(errs, fmt.Errorf("--duration %v with --rate %d makes %.0f events, allowed: %d, for the account keeps each in memory",
			o.Duration, o.Rate, events, maxEvents))
	}
	return errors.Join(errs...)
}

func (o Options) validateRedis() error {
	switch {
	case !o.Outage:
		return errors.New("--redis-url is for --outage")
	case o.Duration < minStandIn:
		return fmt.Errorf("--duration is %v, allowed with --redis-url: %v or more", o.Duration, minStandIn)
	}
	return broker.CheckRedisURL(o.RedisURL)
}

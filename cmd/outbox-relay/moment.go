package main

import (
	"fmt"
	"time"

	"github.com/gameoutbox/relay/config"
)

// momentFlag is a moment as a person names it: in RFC 3339, or as a duration that says how long ago it was. The zero value is no
// moment.
type momentFlag struct {
	time.Time
	text string
}

// String returns what was given.
func (m *momentFlag) String() string { return m.text }

// Type names the kind of value in the help.
func (m *momentFlag) Type() string { return "time" }

// Set reads a moment.
func (m *momentFlag) Set(text string) error {
	moment, err := parseMoment(text, time.Now())
	if err != nil {
		return err
	}
	m.Time, m.text = moment, text
	return nil
}

func parseMoment(text string, now time.Time) (time.Time, error) {
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, nil
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		const allowed = "RFC 3339 such as 2006-01-02T15:04:05Z, or how long ago, such as 90m or 2h"
		hint := config.DurationHint(text)
		if hint != "" {
			hint = "; write " + hint
		}
		return time.Time{}, fmt.Errorf("%q is no time; allowed: %s%s", text, allowed, hint)
	}
	return now.Add(-ago), nil
}

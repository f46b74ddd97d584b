package config

import (
	"slices"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// LogLevels and LogFormats are what [Log] allows.
var (
	LogLevels  = []string{"debug", "info", "warn", "error"}
	LogFormats = []string{"json", "console"}
)

// Log holds the settings of the log, the section "log". Start from [DefaultLog].
type Log struct {
	// Level is the lowest level that is written, one of [LogLevels].
	Level string `yaml:"level"`
	// Format is one of [LogFormats]: json for machines, console for people.
	Format string `yaml:"format"`
}

// DefaultLog returns the settings that hold when nobody sets any.
func DefaultLog() Log { return Log{Level: "info", Format: "json"} }

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError].
func (l Log) Validate() error {
	var v relay.Fields
	v.Check(slices.Contains(LogLevels, l.Level), "level", quote(l.Level), strings.Join(LogLevels, ", "))
	v.Check(slices.Contains(LogFormats, l.Format), "format", quote(l.Format), strings.Join(LogFormats, ", "))
	return v.Err()
}

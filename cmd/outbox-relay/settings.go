package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
)

// loadFunc loads the configuration once the flags are parsed; required names keys that must not be empty.
type loadFunc func(required ...string) (*config.Settings, error)

// settingsOf adds the flags of the configuration to a command and returns a function that loads it, once the flags are parsed.
// Every setting is accepted by every command, so that one environment or file serves all; those of the shown
// sections appear in the command's help, or those of all sections if none is named.
func settingsOf(cmd *cobra.Command, environ []string, shown ...string) loadFunc {
	var file string
	cmd.Flags().StringVar(&file, "config", "", "configuration `file` (default ./config.yaml if there is one)")
	config.AddFlags(cmd.Flags(), shown...)
	return func(required ...string) (*config.Settings, error) {
		settings, err := config.Load(config.Source{File: file, Environ: environ, Flags: cmd.Flags(), Required: required})
		if err != nil {
			return nil, &failure{
				what: "the configuration cannot be used", cause: err,
				next: "correct it; `outbox-relay config print --defaults` shows every setting", code: codeUsage,
			}
		}
		return settings, nil
	}
}

// sourceFlag is the flag that names one of several sources.
const sourceFlag = "source"

// sourceOf is settingsOf for a command that works on one database: the function returns the settings of the source that --source names,
// or of the only one.
func sourceOf(cmd *cobra.Command, environ []string, shown ...string) loadFunc {
	load := sourcesOf(cmd, environ, shown...)
	return func(required ...string) (*config.Settings, error) {
		sources, err := load(required...)
		if err != nil {
			return nil, err
		}
		if len(sources) > 1 {
			return nil, whichSource("which source is meant is not said", sources)
		}
		return sources[0], nil
	}
}

// sourcesOf is settingsOf for a command that works on every database: the function returns the settings of each source, or of the one that
// --source names.
func sourcesOf(cmd *cobra.Command, environ []string, shown ...string) func(required ...string) ([]*config.Settings, error) {
	load := settingsOf(cmd, environ, shown...)
	var name string
	cmd.Flags().StringVar(&name, sourceFlag, "", "`name` of one of the configured sources, if there are several")
	return func(required ...string) ([]*config.Settings, error) {
		settings, err := load(required...)
		if err != nil {
			return nil, err
		}
		sources := settings.Sources()
		if !cmd.Flags().Changed(sourceFlag) {
			return sources, nil
		}
		i := slices.IndexFunc(sources, func(s *config.Settings) bool { return s.Source == name })
		if i < 0 {
			return nil, whichSource(fmt.Sprintf("there is no source %q", name), sources)
		}
		return sources[i : i+1], nil
	}
}

// shownNames is how many names of sources one message has at most.
const shownNames = 20

// whichSource is the failure of a command that needs the name of a source.
func whichSource(what string, sources []*config.Settings) error {
	var names []string
	for _, source := range sources {
		names = append(names, source.Source)
	}
	return &failure{what: what, next: "name one with --source: " + listNames(names), code: codeUsage}
}

// listNames writes names in one line.
func listNames(names []string) string {
	if more := len(names) - shownNames; more > 0 {
		return strings.Join(names[:shownNames], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

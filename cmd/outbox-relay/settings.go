package main

import (
	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
)

// settingsOf adds the flags of the configuration to a command and returns a function that loads it, once the flags are parsed.
// Every setting is accepted by every command, so that one environment or file serves all; those of the shown
// sections appear in the command's help, or those of all sections if none is named.
func settingsOf(cmd *cobra.Command, environ []string, shown ...string) func(required ...string) (*config.Settings, error) {
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

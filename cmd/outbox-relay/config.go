package main

import (
	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/config"
)

func newConfigCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Shows the configuration",
		Args:  knownSubcommand,
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newConfigPrintCommand(environ))
	return cmd
}

func newConfigPrintCommand(environ []string) *cobra.Command {
	var defaults bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Prints the configuration in effect as YAML, and where each value came from",
		Long: `Prints the configuration that a relay started here and now would have, as YAML. A comment behind each value says where it
came from. Secrets are replaced by [hidden]. A configuration that cannot be used is refused, with every problem.`,
		Args: noArguments,
	}
	load := settingsOf(cmd, environ)
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print a commented file with every setting and its default instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if defaults {
			return config.WriteSample(cmd.OutOrStdout())
		}
		settings, err := load()
		if err != nil {
			return err
		}
		return settings.Print(cmd.OutOrStdout())
	}
	return cmd
}

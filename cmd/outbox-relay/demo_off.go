//go:build !demo

package main

import "github.com/spf13/cobra"

// newDemoCommand returns a command that says how to get the demo. The demo carries a whole JetStream server, 10 MB
// that a binary of 21 MB needs nowhere else.
func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "demo",
		Short:              "Plays a small game and accounts for every event (needs a build with the tag demo)",
		DisableFlagParsing: true, // whatever was asked of it, the answer is the same
		RunE: func(*cobra.Command, []string) error {
			return &failure{what: "this binary was built without the demo", next: "go run -tags demo ./cmd/outbox-relay demo (or: make demo)"}
		},
	}
}

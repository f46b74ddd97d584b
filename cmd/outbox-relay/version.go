package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gameoutbox/relay/migrations"
)

// version and commit are set by the linker: -ldflags "-X main.version=v1.2.3 -X main.commit=abc". Without it they come from
// what the Go command recorded in the binary.
var version, commit string

// buildInfo says what this binary is.
type buildInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	Schema  int64  `json:"schema"` // the newest version of the schema that it knows
}

func thisBuild() buildInfo {
	b := buildInfo{Version: version, Commit: commit, Go: runtime.Version(), Schema: migrations.Latest()}
	if recorded, ok := debug.ReadBuildInfo(); ok {
		b.Version = cmp.Or(b.Version, recorded.Main.Version)
		b.Commit = cmp.Or(b.Commit, recordedCommit(recorded))
	}
	b.Version = cmp.Or(b.Version, "(devel)")
	b.Commit = cmp.Or(b.Commit, "unknown")
	return b
}

// recordedCommit returns the commit that the Go command recorded, with "+changes" if files differed from it.
func recordedCommit(recorded *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range recorded.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision != "" && settings["vcs.modified"] == "true" {
		revision += "+changes"
	}
	return revision
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Prints the version of this program and of the schema it knows",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, out := thisBuild(), cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(b)
			}
			_, err := fmt.Fprintf(out, "outbox-relay %s\ncommit %s\n%s\nschema %d\n", b.Version, b.Commit, b.Go, b.Schema)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

package throwaway

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// installed is a directory with the programs initdb and postgres.
type installed struct {
	dir   string
	major int
}

// places are where packages put the programs without putting them in PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // packages of the PostgreSQL project for Red Hat and SUSE
	"/usr/local/pgsql/bin",                               // built from source
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/nix/var/nix/profiles/default/bin",                  // Nix
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
}

// errNotInstalled says that this machine has no usable server programs.
var errNotInstalled = errors.New("no server programs (initdb, postgres) of Postgres 14 or newer in PATH or in the usual places")

// findInstalled returns the server programs to use: those in PATH, else the newest that are found in the patterns elsewhere
// or through pg_config.
func findInstalled(ctx context.Context, elsewhere []string) (installed, error) {
	if inPath, ok := inspect(ctx, dirInPath()); ok {
		return inPath, nil
	}
	var found []installed
	for _, dir := range append(globAll(elsewhere), bindir(ctx)) {
		if i, ok := inspect(ctx, dir); ok {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return installed{}, errNotInstalled
	}
	return slices.MaxFunc(found, func(a, b installed) int { return cmp.Compare(a.major, b.major) }), nil
}

// dirInPath returns the directory of the initdb that PATH finds; empty when there is none. Links are followed, for the
// other programs lie beside the real one.
func dirInPath() string {
	program, err := exec.LookPath("initdb")
	if err != nil {
		return ""
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return ""
	}
	return filepath.Dir(program)
}

// bindir asks pg_config, which is often in PATH where the server is not.
func bindir(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func globAll(patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern) // the only error is a malformed pattern
		dirs = append(dirs, matches...)
	}
	return dirs
}

var versionPattern = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// inspect tells whether both programs are in dir and new enough.
func inspect(ctx context.Context, dir string) (installed, bool) {
	if dir == "" {
		return installed{}, false
	}
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return installed{}, false
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return installed{}, false
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return installed{}, false
	}
	major, err := strconv.Atoi(string(match[1]))
	return installed{dir: dir, major: major}, err == nil && major >= oldest/10000
}

package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed sql/*.sql
var files embed.FS

// Migration is one version of the schema, as [Status] reports it.
type Migration struct {
	Version int64
	// Name says what the version brings, such as "dead_letters". It is empty for a version that this binary does not know.
	Name string
	// AppliedAt is when the version was applied, by the clock of the database. It is zero while the version is pending.
	AppliedAt time.Time
}

// Step is a migration that was applied or undone, as [Up] and [Down] report it.
type Step struct {
	Version int64
	Name    string
	// Took is the time that the step needed, without the waiting for other migrations.
	Took time.Duration
}

// Latest returns the version that [Up] leads to: the newest one that this binary knows.
func Latest() int64 {
	versions := known()
	return versions[len(versions)-1].Version
}

// known lists the embedded migrations by rising version.
var known = sync.OnceValue(func() []Migration {
	names, err := fs.Glob(files, "sql/*.sql")
	if err != nil {
		panic(fmt.Sprintf("migrations: list the embedded files: %v", err))
	}
	list := make([]Migration, len(names))
	for i, name := range names {
		list[i] = mustParse(path.Base(name))
	}
	return list
})

// mustParse reads version and name from a file name such as 00001_events.sql. The files are part of the binary, so a wrong one is
// a mistake of the programmer, which the first test finds.
func mustParse(file string) Migration {
	version, err := goose.NumericComponent(file)
	if err != nil {
		panic(fmt.Sprintf("migrations: embedded file %q: %v", file, err))
	}
	_, name, _ := strings.Cut(strings.TrimSuffix(file, ".sql"), "_")
	return Migration{Version: version, Name: name}
}

// nameOf returns the name of a version, or "" if this binary does not know it.
func nameOf(version int64) string {
	for _, m := range known() {
		if m.Version == version {
			return m.Name
		}
	}
	return ""
}

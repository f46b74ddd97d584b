package migrations

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFilesAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	entries, err := fs.ReadDir(files, "sql")
	require.NoError(t, err)
	require.Len(t, known(), len(entries))
	for i, m := range known() {
		assert.Equal(t, int64(i+1), m.Version)
		assert.Equal(t, fmt.Sprintf("%05d_%s.sql", m.Version, m.Name), entries[i].Name())
		assert.Zero(t, m.AppliedAt)
	}
	assert.Equal(t, int64(len(entries)), Latest())
}

// destroys finds what could remove or rewrite rows, or make a writer wait. Storage parameters are
// set beside writers; a column without a default is added, a rule that is not validated, and a
// default set, in a moment (each such migration asks for its lock briefly). A rule of a domain is
// replaced without a lock on the table, for no column has the domain as its type. What a function
// does it does when it is called.
var (
	destroys   = regexp.MustCompile(`(?i)\b(drop|truncate|delete from|update \w+ set|alter table|lock table|cluster|vacuum full)\b`)
	parameters = regexp.MustCompile(`(?i)alter table [\w.]+ set \([^)]*\);`)
	rules      = regexp.MustCompile(`(?is)alter table [\w.]+\s+add constraint \w+ check [^;]*;`)
	columns    = regexp.MustCompile(`(?is)alter table [\w.]+ (add column if not exists \w+ \w+(\[\])?|alter column \w+ set (default|storage)[^;]*);`)
	domains    = regexp.MustCompile(
		`(?i)alter domain [\w.]+ drop constraint if exists (\w+);\s*alter domain [\w.]+\s+add constraint \w+`)
	functions = regexp.MustCompile(`(?is)create or replace function [^;]*?\sas \$\$.*?\$\$;`)
)

func TestNoMigrationRemovesAnythingOnTheWayUp(t *testing.T) {
	t.Parallel()
	for _, m := range known() {
		up, down := sections(t, m)
		for _, harmless := range []*regexp.Regexp{functions, parameters, columns, rules, domains} {
			up = harmless.ReplaceAllString(up, "")
		}
		assert.NotRegexp(t, destroys, up, "%05d_%s.sql", m.Version, m.Name)
		assert.NotEmpty(t, strings.TrimSpace(down), "%05d_%s.sql has no way down", m.Version, m.Name)
	}
}

func TestEachSectionBeginsWithTheSearchPath(t *testing.T) {
	t.Parallel()
	for _, m := range known() {
		up, down := sections(t, m)
		assert.True(t, strings.HasPrefix(strings.TrimSpace(up), pin+";"), "up of %05d_%s.sql", m.Version, m.Name)
		assert.True(t, strings.HasPrefix(strings.TrimSpace(down), pin+";"), "down of %05d_%s.sql", m.Version, m.Name)
	}
}

// sections returns the two halves of a file, without comments.
func sections(t *testing.T, m Migration) (up, down string) {
	t.Helper()
	text, err := fs.ReadFile(files, fmt.Sprintf("sql/%05d_%s.sql", m.Version, m.Name))
	require.NoError(t, err)
	head, down, found := strings.Cut(string(text), "-- +goose Down")
	require.True(t, found)
	_, up, found = strings.Cut(head, "-- +goose Up")
	require.True(t, found)
	comment := regexp.MustCompile(`(?m)^\s*--.*$`)
	return comment.ReplaceAllString(up, ""), comment.ReplaceAllString(down, "")
}

func TestNameOfAnUnknownVersionIsEmpty(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "events", nameOf(1))
	assert.Empty(t, nameOf(Latest()+1))
}

func TestServerThatCannotHoldTheSchemaIsRefusedWithTheNextStep(t *testing.T) {
	t.Parallel()
	good := server{version: 140000, versionText: "14.0", encoding: "UTF8", user: "game", db: "game"}
	require.NoError(t, good.check())

	for want, change := range map[string]func(*server){
		"migrations: the server is Postgres 13.22: use Postgres 14 or newer": func(s *server) {
			s.version, s.versionText = 130022, "13.22"
		},
		`migrations: database "game" has the encoding LATIN1: use a database made with: ` +
			"create database ... encoding 'UTF8' template template0": func(s *server) { s.encoding = "LATIN1" },
		`migrations: the server of database "game" is a standby, which is read-only: ` +
			"connect to the primary, for instance with target_session_attrs=read-write in the URL": func(s *server) { s.standby = true },
	} {
		bad := good
		change(&bad)
		err := bad.check()
		require.EqualError(t, err, want)
		var serverErr *ServerError
		require.ErrorAs(t, err, &serverErr)
	}
}

func TestErrorsOfPostgresAreExplained(t *testing.T) {
	t.Parallel()
	s := server{user: `odd"role`, db: "game"}
	require.NoError(t, s.explain("migrate up", nil))

	for code, want := range map[string]string{
		codeInsufficientPrivilege:  `let an administrator run: create schema outbox authorization "odd""role"`,
		codeNotInPrerequisiteState: "the table to drop holds rows",
		codeLockNotAvailable:       "stop the writers, or try again",
		"XX000":                    "migrations: migrate up: ",
	} {
		cause := &pgconn.PgError{Code: code}
		err := s.explain("migrate up", fmt.Errorf("goose: %w", cause))
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, cause)
		assert.Equal(t, code == codeNotInPrerequisiteState, errors.Is(err, ErrHoldsRows))
	}
}

func TestVersionErrorTellsBothVersionsAndTheNextStep(t *testing.T) {
	t.Parallel()
	newer := &VersionError{Database: 9, Binary: 4}
	require.EqualError(t, newer, "migrations: schema outbox has version 9, this binary knows only up to 4: install a newer outbox-relay")
	require.ErrorIs(t, newer, ErrNewerSchema)
	require.NotErrorIs(t, newer, ErrOlderSchema)

	older := &VersionError{Database: 0, Binary: 4}
	require.EqualError(t, older, "migrations: schema outbox has version 0, this binary needs 4: run outbox-relay migrate up")
	require.ErrorIs(t, older, ErrOlderSchema)
	require.NotErrorIs(t, older, ErrNewerSchema)
}

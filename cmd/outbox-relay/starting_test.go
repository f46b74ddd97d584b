package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	errSoon  = &failure{what: "cannot connect to Postgres", cause: errors.New("refused"), passes: true}
	errStuck = &failure{what: "no schema", value: "postgres.url is x", next: "migrate"}
)

func startingWith(t *testing.T, sources int) *starting {
	t.Helper()
	all := make([]*source, sources)
	for i := range all {
		all[i] = &source{settings: settingsWith(t)}
		all[i].settings.Source = string(rune('a' + i))
	}
	return newStarting(all)
}

func TestALoneSourceWaitsForWhatMayPass(t *testing.T) {
	t.Parallel()
	s := startingWith(t, 1)
	require.NoError(t, s.tried(0, errSoon))
	require.NoError(t, s.tried(0, errSoon))
	require.Equal(t, error(errStuck), s.tried(0, errStuck), "what a person has to change ends the start, also after a wait")
	require.ErrorContains(t, startingWith(t, 1).tried(0, errors.New("odd")), "odd")
}

func TestTheStartFailsWhenEverySourceNeedsAPerson(t *testing.T) {
	t.Parallel()
	s := startingWith(t, 3)
	require.NoError(t, s.tried(2, errStuck))
	require.NoError(t, s.tried(0, errStuck))
	require.NoError(t, s.tried(1, errSoon))
	err := s.tried(1, errStuck)
	require.ErrorContains(t, err, "none of the 3 sources can be served: a: no schema\nb: no schema\nc: no schema")
	f := (*failure)(nil)
	require.ErrorAs(t, err, &f)
	require.Equal(t, "migrate", f.next)
	require.Equal(t, "postgres.url is x", f.value)
}

func TestASourceThatHasBegunKeepsTheRelay(t *testing.T) {
	t.Parallel()
	s := startingWith(t, 2)
	require.NoError(t, s.tried(0, nil))
	require.NoError(t, s.tried(1, errStuck))
	require.NoError(t, s.tried(0, errStuck), "it is not asked again, but if it were")
}

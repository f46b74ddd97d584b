package deadletter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay/selection"
)

func TestSelectionIsEmptyWithoutAnyField(t *testing.T) {
	t.Parallel()
	require.True(t, Selection{}.Empty())
	for _, sel := range []Selection{
		{IDs: []int64{1}}, {Reasons: []string{"refused"}}, {Selection: selection.Selection{Key: "k"}},
		{Selection: selection.Selection{EventIDs: []outbox.ID{outbox.NewID()}}},
	} {
		require.False(t, sel.Empty())
	}
}

func TestEveryStatementOfASelectionGetsIt(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{listSQL, countSQL, pageSQL} {
		got := withMeant(statement)
		require.NotContains(t, got, "where false")
		require.Equal(t, 1, strings.Count(got, selection.Condition))
	}
}

func TestNamedEventsAreNoConditionOfTheirOwn(t *testing.T) {
	t.Parallel()
	id := outbox.NewID()
	args := Selection{Selection: selection.Selection{EventIDs: []outbox.ID{id}}, IDs: []int64{7}}.args("own")
	require.Len(t, args, 11)
	require.Empty(t, args[2], "an event is named by one of its ids, not by all of them")
	require.Equal(t, []int64{7}, args[7])
	require.Equal(t, [][16]byte{id}, args[8])
	require.Equal(t, "own", args[10])
}

func TestRefusesRow(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"23514": true, "22P02": true, "P0001": true, "54000": true,
		"42501": false, "57014": false, "40P01": false, "53100": false, "25006": false,
	} {
		require.Equal(t, want, refusesRow(fmt.Errorf("around: %w", &pgconn.PgError{Code: code})), code)
	}
	require.False(t, refusesRow(fmt.Errorf("connection lost")))
}

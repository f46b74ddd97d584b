package verify

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrderIsKeptPerKey(t *testing.T) {
	t.Parallel()
	o := newOrder()
	o.pass("a", 5)
	o.pass("b", 2)
	require.EqualValues(t, 5, o.behind("a", 4))
	require.Zero(t, o.behind("a", 6))
	require.Zero(t, o.behind("b", 4))
	require.Zero(t, o.behind("c", 1))
	o.pass("a", 3)
	require.EqualValues(t, 5, o.behind("a", 4), "the highest id counts")

	o.pass("", 9)
	require.Zero(t, o.behind("", 1), "without a key no order is promised")
}

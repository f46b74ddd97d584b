package throwaway

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRootRunsPostgresAsAnother(t *testing.T) {
	t.Parallel()
	who, err := unprivileged(0)
	require.NoError(t, err)
	assert.Contains(t, []string{"postgres", "nobody"}, who.name)
	assert.NotZero(t, who.uid)
	assert.Equal(t, ", run as user "+who.name, who.String())
}

func TestOthersRunPostgresThemselves(t *testing.T) {
	t.Parallel()
	who, err := unprivileged(1000)
	require.NoError(t, err)
	assert.Nil(t, who)
	assert.Empty(t, who.String())
	assert.NoError(t, who.own("/nonexistent"), "nothing changes hands")
}

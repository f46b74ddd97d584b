package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHalfOfTheProcessors(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{1, 1, 1, 2, 4}, []int{half(1), half(2), half(3), half(4), half(8)})
}

// TestProcessorsThatAreSetStand is not parallel, for it sets the environment.
func TestProcessorsThatAreSetStand(t *testing.T) {
	t.Setenv("GOMAXPROCS", "any")
	before := runtime.GOMAXPROCS(0)
	require.Equal(t, before, leaveProcessors())
}

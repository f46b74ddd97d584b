package trouble

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestATroubleIsLoggedWhenItChangesAndNowAndThen(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	log := zap.New(core)
	trouble := Trouble{Name: "Broker"}
	now := time.Now()
	down, full := errors.New("down"), errors.New("full")
	for _, step := range []struct {
		err  error
		wait time.Duration
		logs int // in all
	}{
		{nil, 0, 0}, {down, 0, 1}, {down, Every - 1, 1}, {down, 1, 2}, {full, 0, 3}, {nil, time.Second, 4}, {nil, 0, 4}, {full, 0, 5},
	} {
		now = now.Add(step.wait)
		trouble.Note(log, step.err, now)
		require.Len(t, logs.All(), step.logs)
	}
	over := logs.FilterMessage("Broker is ready again").All()
	require.Len(t, over, 1)
	require.Equal(t, Every+time.Second, over[0].ContextMap()["after"])
	require.Len(t, logs.FilterMessage("Broker is not ready; nothing is lost, events wait").All(), 4)
}

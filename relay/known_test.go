package relay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// gauges returns the gauges of a tracker that are not always known.
func gauges(t *testing.T, track *tracker) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(known{track})
	families, err := registry.Gather()
	require.NoError(t, err)
	values := make(map[string]float64)
	for _, family := range families {
		values[strings.TrimPrefix(family.GetName(), "outbox_relay_")] = family.GetMetric()[0].GetGauge().GetValue()
	}
	return values
}

func TestGaugesAreAbsentWhileTheirValueIsNotKnown(t *testing.T) {
	t.Parallel()
	track := newTracker(zap.NewNop(), newMetrics(nil, "script"), "test", "script")
	require.Empty(t, gauges(t, track), "a relay that connects knows nothing")
	track.standsBy()
	require.Empty(t, gauges(t, track), "a standby knows nothing")

	track.enter(StateLeading)
	require.Empty(t, gauges(t, track), "nothing is measured yet")
	track.brokerAnswered(BrokerOK, nil)
	track.backlogMeasured(Backlog{Events: 7, Lag: 3, DeadLetters: 2, At: time.Now()}, newHeldKeys([]string{"k"}))
	require.Equal(t, map[string]float64{
		"broker_up": 1, "backlog_events": 7, "lag_seconds": 3, "dead_letters": 2, "held_keys": 1, "held_events": 0,
	}, gauges(t, track))
	track.brokerAnswered(BrokerUnavailable, errors.New("gone"))
	require.Zero(t, gauges(t, track)["broker_up"])

	track.delayed(1)
	track.standsBy()
	require.Empty(t, gauges(t, track), "what a leader knew says nothing of the present")
	require.Equal(t, BrokerUnknown, track.snapshot().Broker.State)
	require.Zero(t, track.snapshot().Delayed)
}

func TestTheLagGrowsWhileItCannotBeMeasured(t *testing.T) {
	t.Parallel()
	track := newTracker(zap.NewNop(), newMetrics(nil, "script"), "test", "script")
	track.enter(StateLeading)
	measured := time.Now().Add(-time.Hour)
	track.backlogMeasured(Backlog{Events: 7, Exact: true, Lag: 3, At: measured}, newHeldKeys(nil))
	now := gauges(t, track)
	require.InDelta(t, 3603, now["lag_seconds"], 60)
	require.NotContains(t, now, "backlog_events")

	s := track.snapshot()
	require.InDelta(t, 3603, s.Backlog.Lag, 60)
	require.False(t, s.Backlog.Exact)
	require.Equal(t, int64(7), s.Backlog.Events)

	track.enter(StateConnecting)
	require.InDelta(t, 3603, gauges(t, track)["lag_seconds"], 60, "it goes on after the lease has lapsed")
}

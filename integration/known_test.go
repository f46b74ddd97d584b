package integration_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// gauge returns a metric of a relay that has no labels of its own; false if it is absent.
func gauge(t testing.TB, registry prometheus.Gatherer, name string) (float64, bool) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if strings.TrimPrefix(family.GetName(), "outbox_relay_") == name {
			return family.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// TestAStandbyKnowsNothingOfTheBroker is about a standby beside a healthy broker.
func TestAStandbyKnowsNothingOfTheBroker(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	leads, waits := prometheus.NewRegistry(), prometheus.NewRegistry()
	first, stop := runRelayWith(t, db.URL, relay.Options{Publisher: &memory{}, Registerer: leads})
	defer stop()
	require.Eventually(t, func() bool { return first.Status().State == relay.StateLeading }, 30*time.Second, 10*time.Millisecond)
	second, stop := runRelayWith(t, db.URL, relay.Options{Publisher: &memory{}, Registerer: waits})
	defer stop()
	require.Eventually(t, func() bool { return second.Status().State == relay.StateStandby }, 30*time.Second, 10*time.Millisecond)
	_, err := db.Pool.Exec(t.Context(), "select outbox.publish('game.x', '{}')")
	require.NoError(t, err)
	require.Eventually(t, func() bool { up, known := gauge(t, leads, "broker_up"); return known && up == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { _, known := gauge(t, leads, "lag_seconds"); return known }, 30*time.Second, 10*time.Millisecond)
	for _, name := range []string{"broker_up", "lag_seconds", "backlog_events"} {
		_, known := gauge(t, waits, name)
		require.False(t, known, name)
	}
	require.True(t, second.Status().Ready)
}

func TestTheLagGrowsWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	db := server.Database(t)
	registry := prometheus.NewRegistry()
	_, stop := runRelayWith(t, db.URL, relay.Options{Publisher: &memory{}, Registerer: registry})
	defer stop()
	require.Eventually(t, func() bool { _, known := gauge(t, registry, "backlog_events"); return known }, 30*time.Second, 10*time.Millisecond)
	server.Stop()
	require.Eventually(t, func() bool {
		lag, known := gauge(t, registry, "lag_seconds")
		_, counted := gauge(t, registry, "backlog_events")
		return known && lag > 12 && !counted
	}, 2*time.Minute, 100*time.Millisecond)
	server.Start()
	require.Eventually(t, func() bool {
		lag, known := gauge(t, registry, "lag_seconds")
		_, counted := gauge(t, registry, "backlog_events")
		return known && lag < 1 && counted
	}, 2*time.Minute, 100*time.Millisecond)
}

func TestADelayedEventThatWasDeliveredIsNotDelayed(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	var refuses atomic.Bool
	refuses.Store(true)
	broker := &memory{fault: func(events []relay.Event) ([]relay.Outcome, error) {
		if !refuses.Load() {
			return nil, nil
		}
		outcomes := make([]relay.Outcome, len(events))
		for i := range outcomes {
			outcomes[i].Err = errors.New("no room")
		}
		return outcomes, nil
	}}
	registry := prometheus.NewRegistry()
	r, stop := runRelayWith(t, db.URL, relay.Options{Publisher: broker, Registerer: registry})
	defer stop()
	_, err := db.Pool.Exec(t.Context(), "select outbox.publish('game.x', '{}')")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.Status().Delayed == 1 && r.Status().DelayedError != "" }, 30*time.Second, 10*time.Millisecond)
	refuses.Store(false)
	requireSettled(t, db.Pool)
	require.Eventually(t, func() bool {
		delayed, known := gauge(t, registry, "delayed_events")
		return known && delayed == 0 && r.Status().Delayed == 0 && r.Status().DelayedError == ""
	}, 30*time.Second, 10*time.Millisecond)
}

// hanging is a broker whose Publish returns when it is let go, and never before: a fault of its client library.
type hanging struct {
	memory
	hung  chan struct{}
	letGo chan struct{}
}

func (h *hanging) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	close(h.hung)
	<-h.letGo
	return make([]relay.Outcome, len(events)), context.Cause(ctx)
}

// TestALeaderWhosePublishHangsGivesItsLeaseUp is about a loop that stands still although there is something to do.
func TestALeaderWhosePublishHangsGivesItsLeaseUp(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	cfg := relay.DefaultConfig()
	cfg.BatchBytes = 64 << 10
	stuck := &hanging{hung: make(chan struct{}), letGo: make(chan struct{})}
	first, stopFirst := runRelayOf(t, cfg, db.URL, relay.Options{Publisher: stuck, AnswerTimeout: 10 * time.Millisecond})
	_, err := db.Pool.Exec(t.Context(), "select outbox.publish('game.x', '{}')")
	require.NoError(t, err)
	<-stuck.hung

	well := &memory{}
	second, stopSecond := runRelayWith(t, db.URL, relay.Options{Publisher: well})
	defer stopSecond()
	require.Eventually(t, func() bool { return well.count() == 1 }, 60*time.Second, 10*time.Millisecond, "no standby leads")
	require.Equal(t, relay.StateLeading, second.Status().State)
	s := first.Status()
	require.False(t, s.Ready)
	require.Contains(t, s.NotReady, "the publish loop has stood still")
	require.NotEqual(t, relay.StateLeading, s.State)

	close(stuck.letGo)
	require.Eventually(t, func() bool { return first.Status().State == relay.StateStandby && first.Status().Ready }, 30*time.Second, 10*time.Millisecond)
	stopFirst()
}

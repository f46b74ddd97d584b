package integration_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// faulty is a publisher with a fault in it.
type faulty struct {
	relay.Publisher
	relay.Ledger
	publishes, inspects atomic.Int32 // how often it panics yet
}

func (f *faulty) Publish(ctx context.Context, events []relay.Event) ([]relay.Outcome, error) {
	if f.publishes.Add(-1) >= 0 {
		var nowhere []int
		_ = nowhere[len(events)]
	}
	return f.Publisher.Publish(ctx, events)
}

func (f *faulty) Inspect(ctx context.Context) (relay.StreamState, error) {
	if f.inspects.Add(-1) >= 0 {
		panic("inspect")
	}
	return f.Ledger.Inspect(ctx)
}

// A panic ends one session of one source. It is counted and logged with its stack; nothing is lost,
// and other sources go on.
func TestAPanicEndsOneSession(t *testing.T) {
	t.Parallel()
	server := harness.NATS(t)
	other := newBed(t, nil)
	other.relay(t, nil)
	db, s := harness.Postgres(t), newStream(t, server, "panic")
	healthy := s.publisher(t)
	publisher := &faulty{Publisher: healthy, Ledger: healthy}
	publisher.publishes.Store(2)
	publisher.inspects.Store(1)

	core, logs := observer.New(zap.ErrorLevel)
	registry := prometheus.NewRegistry()
	pool, err := relay.NewPool(t.Context(), db.URL, 4)
	require.NoError(t, err)
	r, err := relay.New(relay.DefaultConfig(), relay.Options{
		Publisher: publisher, Pool: pool, Logger: zap.New(core), SchemaVersion: migrations.Latest(), Registerer: registry,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		pool.Close()
	})
	_, err = db.Pool.Exec(t.Context(), `
		select outbox.publish($1 || '.x', to_jsonb(i), 'k' || i % 3) from generate_series(1, 50) as i`, s.subject)
	require.NoError(t, err)
	other.write(t, 20)
	requireSettled(t, db.Pool)

	require.Equal(t, 50, s.count())
	require.Equal(t, 20, other.stream.count())
	families, err := registry.Gather()
	require.NoError(t, err)
	counted := 0.0
	for _, family := range families {
		if family.GetName() == "outbox_relay_panics_total" {
			counted = family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.InDelta(t, 3, counted, 0)
	panics := func() *observer.ObservedLogs { return logs.FilterMessage("panic ended a session") }
	require.Eventually(t, func() bool { return panics().Len() == 3 }, time.Minute, 10*time.Millisecond)
	stacks := panics().All()
	assert.Contains(t, stacks[0].ContextMap()["stack"], "Inspect")
	assert.Contains(t, stacks[1].ContextMap()["panic"], "index out of range")
	assert.Empty(t, logs.FilterMessage("database trouble; trying again").All())
	require.Zero(t, rowCount(t, db.Pool, "outbox.dead_letters"))
}

package relay

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// stuckLog is a sink that nobody reads until it is opened.
type stuckLog struct {
	open    chan struct{}
	entered func() // called by the first write
}

func (s *stuckLog) Write(line []byte) (int, error) {
	s.entered()
	<-s.open
	return len(line), nil
}

// newStuckLogger returns a logger that blocks until open is called; logs holds what it took. stuck is closed once it blocks.
func newStuckLogger(t *testing.T) (log *zap.Logger, logs *observer.ObservedLogs, stuck <-chan struct{}, open func()) {
	t.Helper()
	blocks := make(chan struct{})
	sink := &stuckLog{open: make(chan struct{}), entered: sync.OnceFunc(func() { close(blocks) })}
	core, logs := observer.New(zap.InfoLevel)
	blocking := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(sink), zap.InfoLevel)
	open = sync.OnceFunc(func() { close(sink.open) })
	t.Cleanup(open)
	return zap.New(zapcore.NewTee(blocking, core)), logs, blocks, open
}

func valueOf(t *testing.T, counter prometheus.Counter) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter)
	families, err := registry.Gather()
	require.NoError(t, err)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

func TestLinesKeepTheirOrderAndAreCountedWhereTheyAreDropped(t *testing.T) {
	t.Parallel()
	log, logs, stuck, open := newStuckLogger(t)
	m := newMetrics(nil, "script")
	q := newLineQueue(log, m.logDropped)
	const lines = 3 * maxLines
	for i := range lines {
		q.info("line", zap.Int("i", i))
		<-stuck // from the first line on
	}
	q.flush(time.Millisecond)
	dropped := int(valueOf(t, m.logDropped))
	require.Greater(t, dropped, maxLines/2)

	open()
	q.flush(time.Minute)
	all := logs.AllUntimed()
	written := len(all) - 1
	require.Equal(t, lines, written+dropped)
	for i, line := range all[:written] {
		require.Equal(t, map[string]any{"i": int64(i)}, line.ContextMap())
	}
	require.Equal(t, linesDropped, all[written].Message)
	require.Equal(t, map[string]any{"lines": int64(dropped)}, all[written].ContextMap())

	q.info("line", zap.Int("i", lines))
	q.flush(time.Minute)
	require.Equal(t, "line", logs.AllUntimed()[written+1].Message, "the log flows again")
}

func TestPublishingGoesOnWhileTheLogBlocks(t *testing.T) {
	t.Parallel()
	log, _, _, _ := newStuckLogger(t)
	events := []Event{event(1, "a"), event(2, "b"), event(3, "a")}
	b := newBench(t, events, func([]Event) ([]Outcome, error) {
		return []Outcome{{Err: errors.New("odd")}, {Stored: true}, {Err: errors.New("after the odd one")}}, nil
	})
	b.track.lines = newLineQueue(log, b.metrics.logDropped)
	for range 2 * maxLines {
		b.track.polls("test", time.Second)
		b.track.wakes()
	}
	b.run(t, events)
	require.Len(t, b.settled, 3)
	require.Equal(t, uint64(3), b.track.snapshot().Published)
	require.Positive(t, valueOf(t, b.metrics.logDropped))
}

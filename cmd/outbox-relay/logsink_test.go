package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/config"
)

// stuckWriter is a pipe that nothing reads until it is opened.
type stuckWriter struct {
	bytes.Buffer
	open  chan struct{}
	stuck chan struct{} // closed by the first write
	once  sync.Once
}

func newStuckWriter(t *testing.T) (w *stuckWriter, open func()) {
	t.Helper()
	w = &stuckWriter{open: make(chan struct{}), stuck: make(chan struct{})}
	open = sync.OnceFunc(func() { close(w.open) })
	t.Cleanup(open)
	return w, open
}

func (w *stuckWriter) Write(text []byte) (int, error) {
	w.once.Do(func() { close(w.stuck) })
	<-w.open
	return w.Buffer.Write(text)
}

func valueOf(t *testing.T, counter prometheus.Counter) int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter)
	families, err := registry.Gather()
	require.NoError(t, err)
	return int(families[0].GetMetric()[0].GetCounter().GetValue())
}

func TestALogThatNothingReadsDropsLinesAndCountsThem(t *testing.T) {
	t.Parallel()
	w, open := newStuckWriter(t)
	sink := newLogSink(w, noticeOfDrops("json"), func() { t.Error("nobody went away") })
	log, err := newLogger(config.DefaultLog(), sink)
	require.NoError(t, err)
	const lines = 1000
	long := strings.Repeat("x", 4<<10)
	for i := range lines {
		log.Info(fmt.Sprintf("line %d", i), zap.String("text", long))
		<-w.stuck // from the first line on
	}
	sink.flush(time.Millisecond)
	dropped := valueOf(t, sink.dropped)
	require.Greater(t, dropped, lines/4)

	open()
	sink.flush(time.Minute)
	written := strings.Split(strings.TrimSpace(w.String()), "\n")
	require.Len(t, written, lines-dropped+1)
	for i, line := range written[:lines-dropped] {
		require.Contains(t, line, fmt.Sprintf(`"line %d"`, i))
	}
	require.Contains(t, written[lines-dropped], `"level":"warn"`)
	require.Contains(t, written[lines-dropped], fmt.Sprintf(`"message":"log lines dropped","lines":%d}`, dropped))

	log.Info("the log flows again")
	sink.flush(time.Minute)
	require.Contains(t, w.String(), "the log flows again")
}

func TestAReaderThatGoesAwayIsToldOnce(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, r.Close())
	gone := make(chan struct{}, 2)
	sink := newLogSink(w, noticeOfDrops("console"), func() { gone <- struct{}{} })
	for range 3 {
		n, err := sink.Write([]byte("line\n"))
		require.NoError(t, err)
		require.Equal(t, 5, n)
	}
	<-gone
	sink.flush(time.Minute)
	require.Empty(t, gone)
	require.Equal(t, 3, valueOf(t, sink.dropped))
}

// failingWriter is a log file on a disk that is full.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestALogThatCannotBeWrittenStopsNothing(t *testing.T) {
	t.Parallel()
	sink := newLogSink(failingWriter{}, noticeOfDrops("json"), func() { t.Error("nobody went away") })
	_, err := sink.Write([]byte("line\n"))
	require.NoError(t, err)
	sink.flush(time.Minute)
	require.Equal(t, 1, valueOf(t, sink.dropped))
}

func TestTheEndOfACommandWaitsForNoReader(t *testing.T) {
	t.Parallel()
	w, _ := newStuckWriter(t)
	root := newRootCommand(nil)
	root.SetArgs([]string{"nonsense"})
	root.SetErr(w)
	root.SetOut(io.Discard)
	require.Equal(t, codeUsage, execute(t.Context(), root))
}

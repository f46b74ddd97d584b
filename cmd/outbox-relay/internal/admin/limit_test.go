package admin_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/relay"
)

// silent opens connections that say nothing.
func silent(t *testing.T, address string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	return conns
}

func TestIdleConnectionsGiveWay(t *testing.T) {
	server := listen(t) // not beside others: it counts goroutines
	server.Start(admin.NewHandler(fixed(relay.Status{Ready: true}), prometheus.NewRegistry()))
	defer func() { require.NoError(t, server.Close(t.Context())) }()
	before := runtime.NumGoroutine()
	conns := silent(t, server.Address(), 500)
	for _, c := range conns[:400] {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, net.ErrClosed)
		timeout, ok := errors.AsType[net.Error](err)
		require.False(t, ok && timeout.Timeout(), "it was closed long before a time-out")
	}
	require.Less(t, runtime.NumGoroutine()-before, 150, "what is given up costs nothing")

	status, err := admin.FetchStatus(t.Context(), admin.URL(server.Address()))
	require.NoError(t, err, "a probe is answered meanwhile")
	require.True(t, status.Ready)
	for _, c := range conns {
		c.Close()
	}
}

func TestAnAnswerIsNotCutOffByOthers(t *testing.T) {
	t.Parallel()
	server := listen(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	server.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			<-answer
		}
		_, _ = io.WriteString(w, "done")
	}))
	defer func() { require.NoError(t, server.Close(t.Context())) }()
	got := make(chan string, 1)
	transport := &http.Transport{DisableKeepAlives: true}
	get := func(path string) string {
		response, err := (&http.Client{Transport: transport}).Get(admin.URL(server.Address()) + path)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}
	go func() { got <- get("/slow") }()
	<-asked
	conns := silent(t, server.Address(), 200)
	require.Equal(t, "done", get("/quick"))
	close(answer)
	require.Equal(t, "done", <-got)
	for _, c := range conns {
		c.Close()
	}
}

// counting is a gatherer that takes its time.
type counting struct {
	calls atomic.Int64
	wait  chan struct{}
}

func (c *counting) Gather() ([]*dto.MetricFamily, error) {
	c.calls.Add(1)
	<-c.wait
	return prometheus.NewRegistry().Gather()
}

func TestOneGatheringServesAllThatAsk(t *testing.T) {
	t.Parallel()
	gatherer := &counting{wait: make(chan struct{})}
	handler := admin.NewHandler(fixed(relay.Status{}), gatherer)
	var codes sync.Map
	var group sync.WaitGroup
	refused := make(chan struct{}, 100)
	for i := range 100 {
		group.Go(func() {
			code, _, _ := get(t, handler, http.MethodGet, "/metrics")
			codes.Store(i, code)
			if code == http.StatusServiceUnavailable {
				refused <- struct{}{}
			}
		})
	}
	for range 92 { // the others wait for the metrics
		<-refused
	}
	close(gatherer.wait)
	group.Wait()
	good := 0
	codes.Range(func(_, code any) bool {
		if code == http.StatusOK {
			good++
		}
		return true
	})
	require.Equal(t, 8, good)
	require.Equal(t, int64(1), gatherer.calls.Load())
}

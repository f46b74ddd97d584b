package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
	"github.com/gameoutbox/relay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type source func() relay.Status

func (s source) Status() relay.Status { return s() }

func fixed(s relay.Status) []admin.Source {
	return []admin.Source{{Name: "default", Relay: source(func() relay.Status { return s })}}
}

// get asks a handler and returns its answer.
func get(t *testing.T, handler http.Handler, method, path string) (code int, body, contentType string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return recorder.Code, recorder.Body.String(), recorder.Header().Get("Content-Type")
}

func TestProbes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status relay.Status
		ready  int
		body   string
	}{
		"ready":   {relay.Status{Ready: true}, http.StatusOK, "ready\n"},
		"primary": {relay.Status{Ready: true, Failover: &relay.FailoverStatus{Fallback: "redis"}}, http.StatusOK, "ready\n"},
		"fallback": {relay.Status{Ready: true, Failover: &relay.FailoverStatus{Fallback: "redis", OnFallback: true}}, http.StatusOK,
			"ready, on the fallback redis\n"},
		"blocked": {relay.Status{Ready: true, Blocked: &relay.Blocked{Events: 3, ID: 7, Subject: "shop.paid", Error: "not captured"}}, http.StatusOK,
			"ready; 3 events wait, for example event 7 with subject shop.paid: not captured\n"},
		"outage": {relay.Status{NotReady: "the broker is away"}, http.StatusServiceUnavailable, "not ready: the broker is away\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := admin.NewHandler(fixed(tc.status), prometheus.NewRegistry())
			code, body, contentType := get(t, handler, http.MethodGet, "/readyz")
			require.Equal(t, tc.ready, code)
			require.Equal(t, tc.body, body)
			require.Equal(t, "text/plain; charset=utf-8", contentType)

			code, body, _ = get(t, handler, http.MethodGet, "/healthz")
			require.Equal(t, http.StatusOK, code, "the process lives, whatever the broker does")
			require.Equal(t, "alive\n", body)
		})
	}
}

func TestStatusIsJSON(t *testing.T) {
	t.Parallel()
	one := relay.Status{State: relay.StateLeading, Ready: true, Published: 7, Since: time.Now().UTC().Truncate(time.Second)}
	want := admin.Status{Ready: true, Sources: []admin.SourceStatus{{Source: "default", Status: one}}}
	code, body, contentType := get(t, admin.NewHandler(fixed(one), prometheus.NewRegistry()), http.MethodGet, admin.StatusPath)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "application/json", contentType)
	var have admin.Status
	require.NoError(t, json.Unmarshal([]byte(body), &have))
	require.Equal(t, want, have)
}

func TestProbesOfSeveralSources(t *testing.T) {
	t.Parallel()
	ready, sick := relay.Status{Ready: true}, relay.Status{NotReady: "no answer"}
	stuck := relay.Status{Ready: true, Blocked: &relay.Blocked{Events: 1}}
	switched := relay.Status{Ready: true, Failover: &relay.FailoverStatus{Fallback: "redis", OnFallback: true}}
	for name, tc := range map[string]struct {
		sources []relay.Status
		ready   int
		body    string
	}{
		"all":      {[]relay.Status{ready, ready}, http.StatusOK, "ready\n"},
		"some":     {[]relay.Status{sick, ready, sick}, http.StatusOK, "ready, 1 of 3 sources; not ready: s0: no answer; s2: no answer\n"},
		"none":     {[]relay.Status{sick, sick}, http.StatusServiceUnavailable, "not ready: s0: no answer; s1: no answer\n"},
		"fallback": {[]relay.Status{ready, switched}, http.StatusOK, "ready, on the fallback redis: s1\n"},
		"blocked":  {[]relay.Status{ready, stuck}, http.StatusOK, "ready; s1: 1 event waits for a change of the broker's settings\n"},
		"many": {[]relay.Status{sick, sick, sick, sick, sick, sick, sick}, http.StatusServiceUnavailable,
			"not ready: s0: no answer; s1: no answer; s2: no answer; s3: no answer; s4: no answer; and 2 more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sources []admin.Source
			for i, s := range tc.sources {
				sources = append(sources, admin.Source{Name: fmt.Sprintf("s%d", i), Relay: source(func() relay.Status { return s })})
			}
			code, body, _ := get(t, admin.NewHandler(sources, prometheus.NewRegistry()), http.MethodGet, "/readyz")
			require.Equal(t, tc.ready, code)
			require.Equal(t, tc.body, body)
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := admin.NewRegistry()
	own := prometheus.NewCounter(prometheus.CounterOpts{Name: "outbox_relay_test_total"})
	registry.MustRegister(own)
	own.Inc()
	code, body, _ := get(t, admin.NewHandler(fixed(relay.Status{}), registry), http.MethodGet, "/metrics")
	require.Equal(t, http.StatusOK, code)
	for _, metric := range []string{"outbox_relay_test_total 1\n", "\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		require.Contains(t, body, metric)
	}
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	t.Parallel()
	handler := admin.NewHandler(fixed(relay.Status{Ready: true}), prometheus.NewRegistry())
	for _, path := range []string{"/healthz", "/readyz", admin.StatusPath} {
		code, _, _ := get(t, handler, http.MethodPost, path)
		require.Equal(t, http.StatusMethodNotAllowed, code, path)
		code, _, _ = get(t, handler, http.MethodHead, path)
		require.Equal(t, http.StatusOK, code, path)
	}
	code, _, _ := get(t, handler, http.MethodGet, "/else")
	require.Equal(t, http.StatusNotFound, code)
}

func listen(t *testing.T) *admin.Server {
	t.Helper()
	server, err := admin.Listen(t.Context(), "127.0.0.1:0", zap.NewNop())
	require.NoError(t, err)
	return server
}

func TestServerServesUntilItIsClosed(t *testing.T) {
	t.Parallel()
	server := listen(t)
	server.Start(admin.NewHandler(fixed(relay.Status{Published: 7}), prometheus.NewRegistry()))
	url := admin.URL(server.Address())

	status, err := admin.FetchStatus(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, uint64(7), status.Of("default").Published)
	require.Nil(t, status.Of("other"))

	require.NoError(t, server.Close(t.Context()))
	_, err = admin.FetchStatus(t.Context(), url)
	require.ErrorContains(t, err, "connection refused")
}

func TestServerThatWasNeverStartedGivesItsAddressBack(t *testing.T) {
	t.Parallel()
	server := listen(t)
	_, err := admin.Listen(t.Context(), server.Address(), zap.NewNop())
	require.ErrorContains(t, err, "address already in use")

	require.NoError(t, server.Close(t.Context()))
	again, err := admin.Listen(t.Context(), server.Address(), zap.NewNop())
	require.NoError(t, err)
	require.NoError(t, again.Close(t.Context()))
}

func TestCloseCutsOffARequestThatHangs(t *testing.T) {
	t.Parallel()
	server := listen(t)
	asked, hang := make(chan struct{}), make(chan struct{})
	server.Start(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-hang }))
	failed := make(chan error, 1)
	go func() {
		_, err := admin.FetchStatus(context.WithoutCancel(t.Context()), admin.URL(server.Address()))
		failed <- err
	}()
	<-asked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, server.Close(ended), context.Canceled)
	require.Error(t, <-failed)
	close(hang)
}

func TestURL(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:9470": "http://127.0.0.1:9470",
		":9470":          "http://127.0.0.1:9470",
		"0.0.0.0:9470":   "http://127.0.0.1:9470",
		"[::]:9470":      "http://[::1]:9470",
		"relay:9470":     "http://relay:9470",
		"odd":            "http://odd",
	} {
		require.Equal(t, want, admin.URL(listen), listen)
	}
}

func TestFetchStatusFromSomethingElse(t *testing.T) {
	t.Parallel()
	for want, handler := range map[string]http.HandlerFunc{
		"404 Not Found: is it an outbox-relay?": http.NotFound,
		"answered no status":                    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		server := httptest.NewServer(handler)
		_, err := admin.FetchStatus(t.Context(), server.URL)
		require.ErrorContains(t, err, want)
		server.Close()
	}
	_, err := admin.FetchStatus(t.Context(), "http://a b")
	require.Error(t, err)
}

package admin

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// StatusPath is where the server answers with the relay's status as JSON.
const StatusPath = "/api/v1/status"

// NewRegistry returns a registry with the metrics of the Go runtime and of the process. The relay adds its own.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// NewHandler returns the handler of every path of the server, for a relay with these sources.
func NewHandler(sources []Source, gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", readyz(sources))
	mux.HandleFunc("GET "+StatusPath, status(sources))
	scrapes := promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}
	mux.Handle("GET /metrics", promhttp.HandlerFor(&shared{from: gatherer}, scrapes))
	return mux
}

func healthz(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") }

func readyz(sources []Source) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := statusOf(sources)
		code := http.StatusOK
		if !s.Ready {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, s.verdict())
	}
}

func status(sources []Source) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(statusOf(sources)) // fails only when the client is gone
	}
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // fails only when the client is gone
}

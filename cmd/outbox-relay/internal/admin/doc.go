// Package admin is the HTTP server for operators and probes.
//
//	GET /healthz        200 while the process lives, also during an outage of the broker or of Postgres: restarting helps nobody
//	GET /readyz         200 while the relay leads and publishes or is a healthy standby, else 503 and the reason; of several sources one
//	                    is enough, and the answer names the others
//	GET /metrics        metrics in the format of Prometheus
//	GET /api/v1/status  the Status as JSON: what the relay does for each source
//
// It keeps 64 connections at most, and closes one that waits for its client rather than refuse a
// new one, so that probes are answered whoever else holds connections. Metrics are gathered four
// times a second at most.
//
// It asks for no password, so it should listen where only operators reach it. No request reaches a database or a broker, so a
// probe every second costs nothing and tells the truth during an outage.
package admin

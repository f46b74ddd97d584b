package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// machine is where and with what was measured.
type machine struct {
	At       string            `json:"at"`
	Took     string            `json:"took"`
	Quick    bool              `json:"quick"`
	Others   float64           `json:"others"` // share of the machine that other programs took meanwhile
	System   string            `json:"system"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Memory   string            `json:"memory"`
	Versions map[string]string `json:"versions"`
}

func (l *lab) describe(ctx context.Context) (machine, error) {
	m := machine{
		At: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Quick: l.o.quick, System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(),
		CPU: valueIn("/proc/cpuinfo", "model name"), Memory: valueIn("/proc/meminfo", "MemTotal"), Versions: map[string]string{},
	}
	var version string
	if err := l.pool.QueryRow(ctx, "show server_version").Scan(&version); err != nil {
		return m, fmt.Errorf("ask Postgres for its version: %w", err)
	}
	m.Versions["Go"] = strings.TrimPrefix(runtime.Version(), "go")
	m.Versions["Postgres"], _, _ = strings.Cut(version, " ")
	m.Versions["nats-server"] = l.nc.ConnectedServerVersion()
	for _, server := range l.redisServers() {
		found, err := redisVersion(ctx, server.url)
		if err != nil {
			return m, err
		}
		m.Versions["Redis ("+server.way+")"] = found
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, each := range build.Deps {
			if name, ok := mentioned[each.Path]; ok {
				m.Versions[name] = each.Version
			}
		}
	}
	return m, nil
}

// mentioned are the libraries on which figures depend.
var mentioned = map[string]string{
	"github.com/jackc/pgx/v5":                    "pgx",
	"github.com/jackc/pglogrepl":                 "pglogrepl",
	"github.com/nats-io/nats.go":                 "nats.go",
	"github.com/redis/go-redis/v9":               "go-redis",
	"github.com/ThreeDotsLabs/watermill":         "Watermill",
	"github.com/ThreeDotsLabs/watermill-sql/v4":  "watermill-sql",
	"github.com/ThreeDotsLabs/watermill-nats/v2": "watermill-nats",
}

// valueIn returns what a file of /proc says behind a name; empty where there is no such file.
func valueIn(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if found, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(found) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

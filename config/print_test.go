package config

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintShowsValuesAndTheirOrigin(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{
		yaml: "postgres:\n  url: postgres://relay:hunter2@db/game\nmq: {subjects: [\"game.>\", shop.>]}\n",
		env:  []string{"OUTBOX_REDIS_PASSWORD=hunter2"},
		args: []string{"--relay.batch_bytes=2MiB"},
	})
	var out bytes.Buffer
	require.NoError(t, settings.Print(&out))

	printed := strings.ReplaceAll(out.String(), filepath.Dir(settings.File)+"/", "")
	for _, line := range []string{
		"postgres:\n  url: postgres://relay:[hidden]@db/game # config.yaml:2\n  max_conns: 4 # default\n",
		"  subjects: [game.>, shop.>] # config.yaml:3\n",
		"  password: '[hidden]' # OUTBOX_REDIS_PASSWORD\n",
		"  batch_bytes: 2MiB # --relay.batch_bytes\n",
		"  poll_interval: 100ms # default\n",
	} {
		require.Contains(t, printed, line)
	}
	require.NotContains(t, printed, "hunter2")
}

func TestPrintedConfigurationLoadsAgain(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: `
mq: {nats_url: "", stream_name: "5"}
redis: {host: r, stream: "true"}
log: {format: console}
relay: {batch_bytes: 123456, poll_interval: 1.5s, sweep_interval: 1h}
`})
	var out bytes.Buffer
	require.NoError(t, settings.Print(&out))
	require.Equal(t, settings.Config, mustLoad(t, input{yaml: out.String()}).Config)
}

func TestShow(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{env: []string{"OUTBOX_POSTGRES_URL=postgres://relay:hunter2@db/game"}})
	require.Equal(t, "postgres.url is postgres://relay:[hidden]@db/game (OUTBOX_POSTGRES_URL)", settings.Show("postgres.url"))
	require.Equal(t, `redis.host is "" (default)`, settings.Show("redis.host"))
	require.Equal(t, "no.key", settings.Show("no.key"))
}

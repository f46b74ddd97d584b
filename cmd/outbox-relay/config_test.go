package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "relay.yaml")
	require.NoError(t, os.WriteFile(file, []byte("mq: {nats_url: 'nats://relay:hunter2@n1'}\nlog: {level: debug}\n"), 0o600))

	got := call{
		args: []string{"config", "print", "--config", file, "--log.format=console"},
		env:  []string{"OUTBOX_POSTGRES_URL=postgres://relay:hunter2@db/game"},
	}.run(t)
	require.Equal(t, result{code: codeOK, out: got.out}, got)
	require.NotContains(t, got.out, "hunter2")
	require.Contains(t, got.out, "url: postgres://relay:[hidden]@db/game # OUTBOX_POSTGRES_URL\n")
	require.Contains(t, got.out, "nats_url: nats://relay:[hidden]@n1 # "+file+":1\n")
	require.Contains(t, got.out, "format: console # --log.format\n")
}

func TestConfigPrintRefusesWhatRunWouldRefuse(t *testing.T) {
	t.Parallel()
	got := cli(t, "config", "print", "--relay.batch_events=0")
	require.Equal(t, codeUsage, got.code)
	require.Contains(t, got.err, "--relay.batch_events: relay.batch_events is 0; allowed: 1 to 65536")
}

func TestConfigPrintDefaultsIsAFileThatLoads(t *testing.T) {
	t.Parallel()
	got := cli(t, "config", "print", "--defaults")
	require.Equal(t, codeOK, got.code)
	require.Contains(t, got.out, "#nats_url: nats://localhost:4222\n")

	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(got.out), 0o600))
	require.Equal(t, cli(t, "config", "print").out, cli(t, "config", "print", "--config", file).out)
}

package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHowATimeIsToBeWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"3d": "72h", "3 days": "72h", "1d12h": "36h", "2w": "336h", "10 s": "10s", "5min": "5m", "1 Hour": "1h", "1d 30m": "24h30m",
		"": "", "5": "", "fast": "", "3dd": "", "-1d": "", "9999999d": "",
	} {
		require.Equal(t, want, DurationHint(text), text)
	}
	_, problems := load(t, input{yaml: "mq: {max_age: 3d}", env: []string{"OUTBOX_RELAY_RETENTION=1d"}, args: []string{"--relay.lease=5 s"}})
	const allowed = "; allowed: a time with its unit, such as 250ms, 5s or 1m30s; write "
	require.Equal(t, []string{
		"config.yaml:1: mq.max_age is 3d, a text" + allowed + "72h",
		"OUTBOX_RELAY_RETENTION: relay.retention is 1d" + allowed + "24h",
		`--relay.lease: relay.lease is "5 s"` + allowed + "5s",
	}, problems)
}

func TestHowASizeIsToBeWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10GB": "10GiB", "64k": "64KiB", "4 MiB": "4MiB", "1g": "1GiB", "512 mb": "512MiB",
		"": "", "10": "", "much": "", "10TB": "", "1.5GB": "", "9999999999999GB": "",
	} {
		require.Equal(t, want, sizeHint[int64](text), text)
	}
	_, problems := load(t, input{env: []string{"OUTBOX_MQ_MAX_BYTES=10GB"}})
	require.Equal(t, []string{
		"OUTBOX_MQ_MAX_BYTES: mq.max_bytes is 10GB; allowed: a number of bytes, such as 65536, 64KiB, 4MiB or 1GiB; write 10GiB",
	}, problems)
}

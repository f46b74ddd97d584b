package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	names := newKeyTable(c.keys()).names
	for name, want := range map[string]string{
		"mq.nats_url":      "mq.nats_url",
		"mq.natsurl":       "mq.nats_url",
		"mq.NATS-URL":      "mq.nats_url",
		"mq.nats_urls":     "mq.nats_url",
		"mq.nast_url":      "mq.nats_url",
		"redis.prot":       "redis.port",
		"redis.ports":      "redis.port",
		"redis.dbs":        "redis.db",
		"log.colour":       "",
		"":                 "",
		"relay.batch_size": "",
	} {
		require.Equal(t, want, Nearest(name, names), name)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1},
		{"abc", "xbc", 1}, {"abcd", "badc", 2}, {"kitten", "sitting", 3},
	} {
		require.Equal(t, tc.want, distance(tc.a, tc.b), "%s %s", tc.a, tc.b)
		require.Equal(t, tc.want, distance(tc.b, tc.a), "%s %s", tc.b, tc.a)
	}
}

package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMergeKeysAndKeysOfOthers(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: `
x-timeouts: &timeouts {connect_timeout: 1s, publish_timeout: 2s}
x-broker: &broker
  <<: *timeouts
  publish_timeout: 3s
  stream_name: shared
mq:
  stream_name: own
  <<: *broker
redis: {<<: [*timeouts, {connect_timeout: 9s, host: cache}], port: 7}
`})
	require.Equal(t, "own", settings.Config.MQ.StreamName, "a key of its own counts, wherever it stands")
	require.Equal(t, time.Second, settings.Config.MQ.ConnectTimeout)
	require.Equal(t, 3*time.Second, settings.Config.MQ.PublishTimeout)
	require.Equal(t, time.Second, settings.Config.Redis.ConnectTimeout, "of several mappings the first counts")
	require.Equal(t, "cache", settings.Config.Redis.Host)
	require.Equal(t, 7, settings.Config.Redis.Port)
	require.Contains(t, settings.Origin("mq.connect_timeout"), "config.yaml:2", "the place to correct")
}

func TestMergeKeysInSources(t *testing.T) {
	t.Parallel()
	sources := mustLoad(t, input{yaml: `
x-source: &source {relay: {retention: 7m}, mq: {stream_name: shared}}
sources:
  - {<<: *source, name: a, postgres: {url: postgres://a/game}}
  - &b {<<: *source, name: b, postgres: {url: postgres://b/game}, mq: {stream_name: b}}
`}).Sources()
	require.Len(t, sources, 2)
	require.Equal(t, 7*time.Minute, sources[1].Config.Relay.Retention)
	require.Equal(t, "shared", sources[0].Config.MQ.StreamName)
	require.Equal(t, "b", sources[1].Config.MQ.StreamName)
}

func TestMergeKeysThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	const allowed = "; allowed: an alias of a mapping such as *shared, or a list of them"
	for yaml, want := range map[string][]string{
		"mq: {<<: text}":                                   {"config.yaml:1: mq.<< is a text" + allowed},
		"mq: {<<: [{replicas: 2}, 5]}":                     {"config.yaml:1: mq.<< is a number" + allowed},
		"mq: {\"<<\": {replicas: 2}}":                      {`config.yaml:1: mq.<< is not a known key; ` + "`outbox-relay config print --defaults` lists all"},
		"mq: &a {<<: *a, replicas: x}":                     {"config.yaml:1: mq.replicas is x, a text; allowed: a whole number"},
		"x-a: &a {replica: 1}\nmq:\n  <<: *a":              {"config.yaml:1: mq.replica is not a known key; did you mean mq.replicas?"},
		"mq: {x-a: 1}":                                     {"config.yaml:1: mq.x-a is not a known key; `outbox-relay config print --defaults` lists all"},
		"x-a: &a {replicas: 1, replicas: 2}\nmq: {<<: *a}": {"config.yaml:1: mq.replicas is set twice, first in line 1; allowed: once"},
	} {
		_, problems := load(t, input{yaml: yaml})
		require.Equal(t, want, problems, yaml)
	}
}

package redisstream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	require.NoError(t, Config{}.Validate(), "without a host nothing is used")
}

func TestValidateNamesEachProblem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		field  string
		change func(*Config)
	}{
		{"port", func(c *Config) { c.Port = 0 }},
		{"port", func(c *Config) { c.Port = 70000 }},
		{"username", func(c *Config) { c.Username = "relay" }},
		{"db", func(c *Config) { c.DB = -1 }},
		{"db", func(c *Config) { c.DB, c.Cluster = 1, true }},
		{"stream", func(c *Config) { c.Stream = "" }},
		{"stream", func(c *Config) { c.Stream = "a}b" }},
		{"addresses", func(c *Config) { c.Addresses, c.Cluster = []string{"a:1", "b"}, true }},
		{"addresses", func(c *Config) { c.Addresses = []string{"redis://user:hunter2@a:1"} }},
		{"addresses", func(c *Config) { c.Addresses = []string{"a:1", "b:1"} }},
		{"addresses", func(c *Config) { c.Addresses = []string{"redis://:hunter2", "b@h:1"} }},
		{"addresses", func(c *Config) { c.Addresses = []string{"redis://:a", "hunter2", "b@h:1"} }},
		{"addresses", func(c *Config) { c.Addresses = []string{"a:hunter2://b"} }},
		{"cluster", func(c *Config) { c.Cluster, c.Sentinel.MasterName = true, "x" }},
		{"sentinel.master_name", func(c *Config) { c.Sentinel.Password = "hunter2" }},
		{"sentinel.username", func(c *Config) { c.Sentinel.MasterName, c.Sentinel.Username = "x", "u" }},
		{"connect_timeout", func(c *Config) { c.ConnectTimeout = time.Millisecond }},
		{"publish_timeout", func(c *Config) { c.PublishTimeout = time.Hour }},
		{"dedup_window", func(c *Config) { c.DedupWindow = time.Millisecond }},
		{"dedup_window", func(c *Config) { c.DedupWindow = 25 * time.Hour }},
		{"max_len", func(c *Config) { c.MaxLen = -1 }},
		{"max_age", func(c *Config) { c.MaxAge = time.Millisecond }},
		{"wait_replicas", func(c *Config) { c.WaitReplicas = -1 }},
		{"wait_timeout", func(c *Config) { c.WaitTimeout = 0 }},
		{"tls.key_file", func(c *Config) { c.TLS.CertFile = "x.pem" }},
	} {
		cfg := DefaultConfig()
		test.change(&cfg)
		err := cfg.Validate()
		var field *relay.FieldError
		require.ErrorAs(t, err, &field, test.field)
		assert.Equal(t, test.field, field.Field)
		assert.NotEmpty(t, field.Allowed)
		assert.NotContains(t, err.Error(), "hunter2")
		_, err = New(cfg, nil)
		require.ErrorAs(t, err, &field, "New refuses it too")
	}
}

func TestAHostIsANameAlone(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "redis-1.cache", "10.0.0.1", "::1", "fe80::1%eth0"} {
		cfg := DefaultConfig()
		cfg.Host = host
		require.NoError(t, cfg.Validate(), host)
	}
	const allowed = "a name or an address alone, such as localhost"
	for host, want := range map[string]struct{ value, allowed string }{
		"localhost:6379":              {`"localhost:6379"`, allowed + "; write host: localhost and port: 6379"},
		"[::1]:6379":                  {`"[::1]:6379"`, allowed + `; write host: "::1" and port: 6379`},
		"[::1]":                       {`"[::1]"`, allowed + `; write "::1"`},
		"redis://cache:7000":          {`"redis://cache:7000"`, allowed + "; write host: cache and port: 7000"},
		"redis://u:hunter2@cache:700": {"an address with a user in it", allowed},
		"a:1,b:2":                     {`"a:1,b:2"`, allowed + "; several go to redis.addresses"},
		"/run/redis.sock":             {`"/run/redis.sock"`, allowed},
		"local host":                  {"a text that is no address", allowed},
		"redis://:hunter2":            {"a text that is no address", allowed},
		"a:1,hunter2":                 {"a text that is no address", allowed + "; several go to redis.addresses"},
	} {
		cfg := DefaultConfig()
		cfg.Host = host
		var field *relay.FieldError
		require.ErrorAs(t, cfg.Validate(), &field, host)
		assert.Equal(t, relay.FieldError{Field: "host", Value: want.value, Allowed: want.allowed}, *field)
	}
}

func TestValidateReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Stream, cfg.Port, cfg.DB = "", 0, -1
	joined, ok := cfg.Validate().(interface{ Unwrap() []error })
	require.True(t, ok)
	require.Len(t, joined.Unwrap(), 3)
}

func TestNewWithoutHost(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}, nil)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*relay.FieldError))
}

func TestWhereNamesTheServers(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Password = "hunter2"
	require.Equal(t, "localhost:6379", cfg.where())
	cfg.Host = "::1"
	require.Equal(t, "[::1]:6379", cfg.where())
	cfg.Addresses = []string{"a:1", "b:2"}
	cfg.Cluster = true
	require.Equal(t, "the Cluster of a:1,b:2", cfg.where())
	cfg.Cluster, cfg.Sentinel.MasterName = false, "game"
	require.Equal(t, `the primary "game" of the Sentinels a:1,b:2`, cfg.where())
	require.Equal(t, "redis.addresses", cfg.key())
}

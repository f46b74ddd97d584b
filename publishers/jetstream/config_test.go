package jetstream

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	require.NoError(t, Config{}.Validate(), "without a URL nothing is used")
}

func TestValidateNamesEachProblem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		field  string
		change func(*Config)
	}{
		{"nats_url", func(c *Config) { c.NATSURL = "http://localhost" }},
		{"nats_url", func(c *Config) { c.NATSURL = "nats://a:4222,,nats://b" }},
		{"nats_url", func(c *Config) { c.NATSURL = "nats://a:70000" }},
		{"nats_url", func(c *Config) { c.NATSURL = "nats://:4222" }},
		{"nats_url", func(c *Config) { c.NATSURL = "nats://user:%zz@a" }},
		{"domain", func(c *Config) { c.Domain = "a.b" }},
		{"domain", func(c *Config) { c.Domain = "*" }},
		{"api_prefix", func(c *Config) { c.APIPrefix = "JS.hub.API." }},
		{"api_prefix", func(c *Config) { c.APIPrefix = "JS.>" }},
		{"api_prefix", func(c *Config) { c.Domain, c.APIPrefix = "hub", "JS.hub.API" }},
		{"stream_name", func(c *Config) { c.StreamName = "" }},
		{"stream_name", func(c *Config) { c.StreamName = "a.b" }},
		{"stream_name", func(c *Config) { c.StreamName = "a b" }},
		{"subjects", func(c *Config) { c.Subjects = nil }},
		{"subjects", func(c *Config) { c.Subjects = []string{"game.>", "a..b"} }},
		{"subjects", func(c *Config) { c.Subjects = []string{"game.>.x"} }},
		{"replicas", func(c *Config) { c.Replicas = 0 }},
		{"replicas", func(c *Config) { c.Replicas = 6 }},
		{"storage", func(c *Config) { c.Storage = "disk" }},
		{"duplicate_window", func(c *Config) { c.DuplicateWindow = time.Millisecond }},
		{"max_age", func(c *Config) { c.MaxAge = time.Second }},
		{"max_age", func(c *Config) { c.MaxAge = -1 }},
		{"max_bytes", func(c *Config) { c.MaxBytes = -1 }},
		{"connect_timeout", func(c *Config) { c.ConnectTimeout = time.Millisecond }},
		{"publish_timeout", func(c *Config) { c.PublishTimeout = time.Hour }},
		{"inbox_prefix", func(c *Config) { c.InboxPrefix = "_INBOX.>" }},
		{"tls.key_file", func(c *Config) { c.TLS.CertFile = "x.pem" }},
		{"password", func(c *Config) { c.Password = "hunter2" }},
		{"token", func(c *Config) { c.User, c.Token = "u", "hunter2" }},
		{"creds_file", func(c *Config) { c.NKeyFile, c.CredsFile = "a", "b" }},
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

func TestValidateReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.StreamName, cfg.Replicas, cfg.Storage = "", 0, "tape"
	joined, ok := cfg.Validate().(interface{ Unwrap() []error })
	require.True(t, ok)
	require.Len(t, joined.Unwrap(), 3)
}

func TestServersAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"nats://localhost:4222": "localhost:4222",
		"localhost":             "localhost:4222",
		" nats://user:hunter2@a , tls://hunter2@b:4333": "a:4222,b:4333",
		"nats://[::1]": "[::1]:4222",
		"ws://user:hunter2@gateway/nats?x=hunter2,ws://other": "gateway,other",
	} {
		servers, problem := parseServers(list)
		require.Empty(t, problem, list)
		require.Equal(t, want, hosts(servers))
	}
	_, problem := parseServers("nats://a,nats://user:hunter2%@b")
	require.True(t, strings.HasPrefix(problem, "number 2 "), problem)
	require.NotContains(t, problem, "hunter2")
}

func TestNewWithoutURL(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}, nil)
	require.Error(t, err)
	require.NotErrorAs(t, err, new(*relay.FieldError))
}

package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNothingConfiguredGivesDefaultsAndNoBroker(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{})

	want := DefaultConfig()
	want.MQ.NATSURL = ""
	want.Redis.Host = ""
	require.Equal(t, want, settings.Config)
	require.False(t, settings.Config.UsesNATS())
	require.False(t, settings.Config.UsesRedis())
}

func TestDefaultsKeepTheContract(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	require.Equal(t, "nats://localhost:4222", c.MQ.NATSURL)
	require.Equal(t, "game-events", c.MQ.StreamName)
	require.Equal(t, []string{"game.>"}, c.MQ.Subjects)
	require.Equal(t, "localhost", c.Redis.Host)
	require.Equal(t, 6379, c.Redis.Port)
	require.Empty(t, c.Redis.Password)
	require.Zero(t, c.Redis.DB)
	require.Equal(t, "game:events", c.Redis.Stream)
	require.Equal(t, "127.0.0.1:9470", c.Admin.Listen)
	require.Equal(t, Log{Level: "info", Format: "json"}, c.Log)
}

func TestEverySectionIsValidByDefault(t *testing.T) {
	t.Parallel()
	for _, section := range DefaultConfig().sections() {
		require.NoError(t, section.validate(), section.name)
	}
}

func TestLaterPlaceWins(t *testing.T) {
	t.Parallel()
	const file = "log: {level: debug}\n"
	env := []string{"OUTBOX_LOG_LEVEL=warn"}
	args := []string{"--log.level=error"}
	for name, tc := range map[string]struct {
		in            input
		level, origin string
	}{
		"default":     {input{}, "info", "default"},
		"file":        {input{yaml: file}, "debug", "config.yaml:1"},
		"environment": {input{yaml: file, env: env}, "warn", "OUTBOX_LOG_LEVEL"},
		"flag":        {input{yaml: file, env: env, args: args}, "error", "--log.level"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := mustLoad(t, tc.in)
			require.Equal(t, tc.level, settings.Config.Log.Level)
			require.Equal(t, tc.origin, filepath.Base(settings.Origin("log.level")))
		})
	}
}

func TestEveryKindOfValueIsReadFromEveryPlace(t *testing.T) {
	t.Parallel()
	want := DefaultConfig()
	want.Postgres.URL = "postgres://relay@db/game"
	want.MQ.Subjects = []string{"game.>", "shop.>"}
	want.Redis.Host = ""
	want.Relay.BatchEvents = 7
	want.Relay.BatchBytes = 2 << 20
	want.Relay.PollInterval = 250 * time.Millisecond

	for name, in := range map[string]input{
		"file": {yaml: `
postgres:
  url: postgres://relay@db/game
mq:
  subjects: ["game.>", shop.>]
relay: {batch_events: 7, batch_bytes: 2MiB, poll_interval: 250ms}
`},
		"aliases in the file": {yaml: `
mq:
  subjects: [&all "game.>", shop.>]
postgres: {url: &db postgres://relay@db/game}
relay: {batch_events: 7, batch_bytes: 2097152, poll_interval: 0.25s}
`},
		"environment": {env: []string{
			"OUTBOX_POSTGRES_URL=postgres://relay@db/game", "OUTBOX_MQ_SUBJECTS=game.>, shop.>", "OUTBOX_RELAY_BATCH_EVENTS=7",
			"OUTBOX_RELAY_BATCH_BYTES=2MiB", "OUTBOX_RELAY_POLL_INTERVAL=250ms",
		}},
		"flags": {args: []string{
			"--postgres.url=postgres://relay@db/game", "--mq.subjects=game.>", "--mq.subjects", "shop.>",
			"--relay.batch_events=7", "--relay.batch_bytes=2048KiB", "--relay.poll_interval", "250ms",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, mustLoad(t, in).Config)
		})
	}
}

func TestWhichBrokerIsConfigured(t *testing.T) {
	t.Parallel()
	const local = "nats://localhost:4222"
	for name, tc := range map[string]struct {
		in          input
		nats, redis string
	}{
		"other sections alone":         {input{yaml: "log: {level: info}"}, "", ""},
		"empty mq section":             {input{yaml: "mq:"}, local, ""},
		"empty mq mapping":             {input{yaml: "mq: {}"}, local, ""},
		"another mq key":               {input{yaml: "mq: {stream_name: x}"}, local, ""},
		"another mq key, variable":     {input{env: []string{"OUTBOX_MQ_STREAM_NAME=x"}}, local, ""},
		"another mq key, flag":         {input{args: []string{"--mq.stream_name=x"}}, local, ""},
		"NATS named":                   {input{yaml: "mq: {nats_url: nats://n:1}"}, "nats://n:1", ""},
		"NATS switched off":            {input{yaml: `mq: {nats_url: "", stream_name: x}`}, "", ""},
		"NATS switched off, variable":  {input{yaml: "mq: {stream_name: x}", env: []string{"OUTBOX_MQ_NATS_URL="}}, "", ""},
		"empty redis section":          {input{yaml: "redis:"}, "", "localhost"},
		"redis password":               {input{env: []string{"OUTBOX_REDIS_PASSWORD=x"}}, "", "localhost"},
		"both":                         {input{yaml: "mq: {}\nredis: {host: r}"}, local, "r"},
		"redis switched off":           {input{yaml: `redis: {host: "", db: 3}`}, "", ""},
		"service link is not a config": {input{env: []string{"OUTBOX_REDIS_PORT=tcp://10.0.0.1:6379"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, tc.in).Config
			require.Equal(t, tc.nats, c.MQ.NATSURL)
			require.Equal(t, tc.redis, c.Redis.Host)
		})
	}
}

func TestSectionThatIsNotInUseIsNotJudged(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, input{yaml: `redis: {host: "", port: 0}`}).Config
	require.Zero(t, c.Redis.Port)
}

func TestRequiredKey(t *testing.T) {
	t.Parallel()
	required := []string{"postgres.url"}

	_, problems := load(t, input{required: required})
	require.Equal(t, []string{
		"postgres.url is not set; set it in config.yaml, as OUTBOX_POSTGRES_URL or as --postgres.url",
	}, problems)

	_, problems = load(t, input{yaml: "postgres: {url: 5}", required: required})
	require.Len(t, problems, 1, "a wrong value is not reported as missing too")

	mustLoad(t, input{env: []string{"OUTBOX_POSTGRES_URL=postgres://db/game"}, required: required})
}

func TestDefaultFileMayBeMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	settings, err := Load(Source{})
	require.NoError(t, err)
	require.Empty(t, settings.File)

	require.NoError(t, os.WriteFile(DefaultFile, []byte("log: {level: warn}"), 0o600))
	settings, err = Load(Source{})
	require.NoError(t, err)
	require.Equal(t, DefaultFile, settings.File)
	require.Equal(t, "warn", settings.Config.Log.Level)
}

func TestFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	_, err := Load(Source{File: missing, Environ: []string{"OUTBOX_LOG_LEVEL=loud"}})
	require.EqualError(t, err, missing+": cannot be read: no such file or directory\n"+
		"OUTBOX_LOG_LEVEL: log.level is loud; allowed: debug, info, warn, error")

	dir := t.TempDir()
	_, err = Load(Source{File: dir})
	require.EqualError(t, err, dir+": cannot be read: is a directory")
}

func TestEncryptionThatIsSwitchedOffBesideItsSettings(t *testing.T) {
	t.Parallel()
	_, problems := load(t, input{yaml: "redis:\n  tls:\n    enabled: false\n    ca_file: /ca.pem\n"})
	require.Equal(t, []string{"config.yaml:3: redis.tls.enabled is false and redis.tls.ca_file is set, which means encryption; " +
		"allowed: true, or no other setting of redis.tls"}, problems)
	for _, good := range []string{"{enabled: false}", "{enabled: true, ca_file: /ca.pem}", "{ca_file: /ca.pem}", `{enabled: false, ca_file: ""}`} {
		mustLoad(t, input{yaml: "redis: {tls: " + good + "}"})
	}
}

func TestAKeyInsteadOfItsFile(t *testing.T) {
	t.Parallel()
	const seed = "SUAB2XIHRZ5XGFVKKYLOO2EQ7FTN4F2QYJLWY2SLLZQO5WQWSJHMQHMDZQ"
	for _, variable := range []string{"OUTBOX_MQ_NKEY_FILE", "OUTBOX_MQ_CREDS_FILE", "OUTBOX_REDIS_TLS_CA_FILE"} {
		for _, key := range []string{seed, "-----BEGIN PRIVATE KEY-----\n" + seed} {
			_, problems := load(t, input{env: []string{variable + "=" + key}})
			require.Len(t, problems, 1)
			require.Contains(t, problems[0], "is [hidden]; allowed: the path of a regular file")
			require.NotContains(t, problems[0], seed)
		}
	}
}

func TestWhereAConnectionMayBePlain(t *testing.T) {
	t.Setenv("PGSSLMODE", "") // as if it were not set
	for url, want := range map[string]string{
		"": "", "postgres://u@db/game": "db", "host=10.0.0.1 user=u": "10.0.0.1", "postgres://u@localhost,db/game": "db",
		"postgres://u@localhost/game": "", "postgres://u@127.0.0.2/game": "", "postgres://u@[::1]/game": "", "host=/run/postgresql user=u": "",
		"postgres://u@/game?host=/run/postgresql": "", "postgres://u@db/game?sslmode=disable": "", "host=db sslmode = require": "",
		"postgres://u@db/game?sslmode=prefer": "",
	} {
		require.Equal(t, want, Postgres{URL: url}.MayBePlain(), url)
	}
	t.Setenv("PGSSLMODE", "require")
	require.Empty(t, Postgres{URL: "postgres://u@db/game"}.MayBePlain())
}

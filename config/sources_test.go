package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const twoSources = `
mq: {stream_name: shared}
relay: {retention: 7m}
postgres: {max_conns: 5}
sources:
  - name: eu
    postgres: {url: postgres://relay:hunter2@eu/game}
  - name: us-west
    postgres: {url: postgres://relay:hunter2@us/game, max_conns: 9}
    mq: {stream_name: us-events, subjects: ["us.>"]}
    redis: {host: cache}
    relay: {batch_bytes: 1MiB}
`

func TestWithoutAListThereIsOneSource(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: "postgres: {url: postgres://db/game}"})
	sources := settings.Sources()
	require.Len(t, sources, 1)
	require.Equal(t, DefaultSource, sources[0].Source)
	require.Equal(t, settings.Config, sources[0].Config)
	require.Equal(t, settings.Show("postgres.url"), sources[0].Show("postgres.url"))
	require.Equal(t, []string{"default"}, names(settings))
}

func TestASourceTakesOverWhatItDoesNotSet(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: twoSources, required: []string{"postgres.url"}, args: []string{"--relay.heal=off"}})
	require.Equal(t, []string{"eu", "us-west"}, names(settings))
	eu, us := settings.Sources()[0], settings.Sources()[1]

	want := settings.Config
	want.Postgres.URL = "postgres://relay:hunter2@eu/game"
	require.Equal(t, want, eu.Config)
	require.Equal(t, "shared", eu.Config.MQ.StreamName)
	require.Equal(t, 7*time.Minute, eu.Config.Relay.Retention)
	require.EqualValues(t, "off", eu.Config.Relay.Heal)
	require.EqualValues(t, 5, eu.Config.Postgres.MaxConns)
	require.False(t, eu.Config.UsesRedis())

	want.Postgres.URL, want.Postgres.MaxConns = "postgres://relay:hunter2@us/game", 9
	want.MQ.StreamName, want.MQ.Subjects = "us-events", []string{"us.>"}
	want.Redis.Host = "cache"
	want.Relay.BatchBytes = 1 << 20
	require.Equal(t, want, us.Config)
	require.True(t, us.Config.UsesFailover())
}

func TestABrokerThatOnlyASourceConfigures(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: `
sources:
  - {name: a, postgres: {url: postgres://a/game}}
  - {name: b, postgres: {url: postgres://b/game}, mq: {}}
  - {name: c, postgres: {url: postgres://c/game}, redis: {db: 2}}
`})
	sources := settings.Sources()
	require.Equal(t, "nats://localhost:4222", sources[0].Config.MQ.NATSURL, "what b takes over from the whole holds for a too")
	require.False(t, sources[0].Config.UsesRedis())
	require.False(t, sources[2].Config.UsesNATS())
	require.Equal(t, "sources.a.mq.nats_url is nats://localhost:4222 (default)", sources[0].Show("mq.nats_url"))
	var printed strings.Builder
	require.NoError(t, settings.Print(&printed))
	require.Equal(t, 2, strings.Count(printed.String(), "nats_url: nats://localhost:4222 # default"), printed.String())
	require.Equal(t, 1, strings.Count(printed.String(), "host: localhost # default"), printed.String())
	require.Equal(t, "nats://localhost:4222", sources[1].Config.MQ.NATSURL)
	require.Equal(t, "localhost", sources[2].Config.Redis.Host)
}

func TestASourceWithoutABrokerBesideOneWithAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	sources := mustLoad(t, input{yaml: `
sources:
  - {name: a, postgres: {url: postgres://a/game}}
  - {name: b, postgres: {url: postgres://b/game}, mq: {nats_url: nats://b}}
`}).Sources()
	require.False(t, sources[0].Config.UsesNATS(), "no setting says where its events go")
}

// TestTheExampleOfManyDatabases loads what README.md shows, and what it showed before.
func TestTheExampleOfManyDatabases(t *testing.T) {
	t.Parallel()
	for _, file := range []string{readmeFile, "../README.zh-CN.md"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for text := range strings.SplitSeq(string(content), "```yaml\n") {
			example, _, _ := strings.Cut(text, "```")
			if !strings.Contains(example, "sources:\n") {
				continue
			}
			_, list, _ := strings.Cut(example, "sources:\n")
			requireBothUseNATS(t, example)
			requireBothUseNATS(t, "sources:\n"+list)
		}
	}
}

func requireBothUseNATS(t *testing.T, example string) {
	t.Helper()
	for _, name := range []string{"eu", "us-west"} {
		example = strings.ReplaceAll(example, "/run/secrets/"+name+"}", secretFile(t, "postgres://"+name+"/game\n")+"}")
	}
	sources := mustLoad(t, input{yaml: example, required: []string{"postgres.url"}}).Sources()
	require.Len(t, sources, 2)
	for _, source := range sources {
		require.Equal(t, "nats://localhost:4222", source.Config.MQ.NATSURL, source.Source)
	}
	require.Equal(t, "game-events", sources[0].Config.MQ.StreamName)
	require.Equal(t, "us-west-events", sources[1].Config.MQ.StreamName)
}

func TestAVariableChangesAListedSource(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("postgres://relay:hunter2@new/game\n"), 0o600))
	settings := mustLoad(t, input{yaml: twoSources, env: []string{
		"OUTBOX_MQ_STREAM_NAME=everywhere",
		"OUTBOX_SOURCES_EU_RELAY_RETENTION=1m",
		"OUTBOX_SOURCES_US_WEST_POSTGRES_URL_FILE=" + secret,
	}})
	eu, us := settings.Sources()[0], settings.Sources()[1]
	require.Equal(t, "everywhere", eu.Config.MQ.StreamName)
	require.Equal(t, "us-events", us.Config.MQ.StreamName, "what a source sets is stronger than a variable for the whole")
	require.Equal(t, time.Minute, eu.Config.Relay.Retention)
	require.Equal(t, "postgres://relay:hunter2@new/game", us.Config.Postgres.URL)

	require.Equal(t, "mq.stream_name is everywhere (OUTBOX_MQ_STREAM_NAME)", eu.Show("mq.stream_name"))
	require.Equal(t, "sources.us-west.postgres.url is postgres://relay:[hidden]@new/game (OUTBOX_SOURCES_US_WEST_POSTGRES_URL_FILE, file "+
		secret+")", us.Show("postgres.url"))
}

func TestASecretOfASourceMayBeAFile(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("postgres://relay:hunter2@eu/game"), 0o600))
	sources := mustLoad(t, input{
		yaml: "sources: [{name: eu, postgres: {url_file: " + secret + "}}]", required: []string{"postgres.url"},
	}).Sources()
	require.Equal(t, "postgres://relay:hunter2@eu/game", sources[0].Config.Postgres.URL)
}

func TestProblemsOfSources(t *testing.T) {
	t.Parallel()
	const (
		list = "; allowed: a list of one or more sources such as - {name: eu, postgres: {url: ...}}"
		name = "; allowed: 1 to 32 letters, digits, - and _; in YAML, a number needs quotes to be a text"
	)
	for title, tc := range map[string]struct {
		yaml string
		env  []string
		args []string
		want []string
	}{
		"no list":       {yaml: "sources: {eu: {}}", want: []string{"config.yaml:1: sources is a mapping" + list}},
		"nothing":       {yaml: "sources:", want: []string{"config.yaml:1: sources is without a value" + list}},
		"empty":         {yaml: "sources: []", want: []string{"config.yaml:1: sources is empty" + list}},
		"a text":        {yaml: "sources: [eu]", want: []string{"config.yaml:1: sources.1 is a text; allowed: a source such as {name: eu, postgres: {url: ...}}"}},
		"no name":       {yaml: "sources:\n- mq: {}", want: []string{"config.yaml:2: sources.1.name is not set; every source needs a name", "config.yaml:2: sources.1.postgres.url is not set; set it there or as OUTBOX_SOURCES_1_POSTGRES_URL"}},
		"name a number": {yaml: "sources:\n- {name: 7, postgres: {url: postgres://db}}", want: []string{"config.yaml:2: sources.1.name is 7, a number" + name}},
		"bad name":      {yaml: "sources:\n- {name: a.b, postgres: {url: postgres://db}}", want: []string{"config.yaml:2: sources.1.name is a.b, a text" + name}},
		"same name": {yaml: "sources:\n- {name: eu-1, postgres: {url: postgres://a}}\n- {name: EU_1, postgres: {url: postgres://b}}", want: []string{
			"config.yaml:3: sources.2.name is EU_1; allowed: a name that differs from that of line 2 by more than case, - and _"}},
		"name twice": {yaml: "sources:\n- {name: a, name: b, postgres: {url: postgres://a}}", want: []string{
			"config.yaml:2: sources.a.name is set twice, first in line 2; allowed: once"}},
		"no database": {yaml: "sources:\n- name: eu\n- name: us\n", want: []string{
			"config.yaml:2: sources.eu.postgres.url is not set; set it there or as OUTBOX_SOURCES_EU_POSTGRES_URL",
			"config.yaml:3: sources.us.postgres.url is not set; set it there or as OUTBOX_SOURCES_US_POSTGRES_URL"}},
		"same database": {yaml: "sources:\n- {name: a, postgres: {url: postgres://db}}\n- {name: b, postgres: {url: postgres://db}}", want: []string{
			"config.yaml:3: sources.b.postgres.url is the same as sources.a.postgres.url; allowed: a database of its own"}},
		"both forms": {yaml: "postgres:\n  url: postgres://db\nsources:\n- {name: a, postgres: {url: postgres://a}}", want: []string{
			"config.yaml:2: postgres.url is set beside sources (config.yaml:4); allowed: one of the two"}},
		"both forms by a variable": {yaml: "sources:\n- {name: a, postgres: {url: postgres://a}}", env: []string{"OUTBOX_POSTGRES_URL=postgres://db"}, want: []string{
			"OUTBOX_POSTGRES_URL: postgres.url is set beside sources (config.yaml:2); allowed: one of the two"}},
		"both forms by a flag": {yaml: "sources:\n- {name: a, postgres: {url: postgres://a}}", args: []string{"--postgres.url=postgres://db"}, want: []string{
			"--postgres.url: postgres.url is set beside sources (config.yaml:2); allowed: one of the two"}},
		"unknown key": {yaml: "sources:\n- name: eu\n  postgres: {url: postgres://eu}\n  mq: {nats_ulr: x}", want: []string{
			"config.yaml:4: sources.eu.mq.nats_ulr is not a known key; did you mean sources.eu.mq.nats_url?"}},
		"key of the whole": {yaml: "sources:\n- name: eu\n  postgres: {url: postgres://eu}\n  admin: {listen: x}", want: []string{
			"config.yaml:4: sources.eu.admin is not a known key; `outbox-relay config print --defaults` lists all"}},
		"wrong type and value": {yaml: "sources:\n- name: eu\n  postgres: {url: postgres://eu, max_conns: x}\n  relay: {batch_events: 0}", want: []string{
			"config.yaml:3: sources.eu.postgres.max_conns is x, a text; allowed: a whole number",
			"config.yaml:4: sources.eu.relay.batch_events is 0; allowed: 1 to 65536"}},
		"a problem of the whole is reported once": {yaml: "relay: {batch_events: 0}\nsources:\n- {name: a, postgres: {url: postgres://a}}\n- {name: b, postgres: {url: postgres://b}, relay: {batch_events: -1}}", want: []string{
			"config.yaml:1: relay.batch_events is 0; allowed: 1 to 65536",
			"config.yaml:4: sources.b.relay.batch_events is -1; allowed: 1 to 65536"}},
		"variable of a source": {yaml: "sources:\n- {name: eu, postgres: {url: postgres://a}}", env: []string{"OUTBOX_SOURCES_EU_RELAY_BATCH_EVENTS=many"}, want: []string{
			"OUTBOX_SOURCES_EU_RELAY_BATCH_EVENTS: sources.eu.relay.batch_events is many; allowed: a whole number"}},
		"misspelt variable of a source": {yaml: "sources:\n- {name: eu, postgres: {url: postgres://a}}", env: []string{"OUTBOX_SOURCES_EU_POSTGRES_ULR=hunter2"}, want: []string{
			"OUTBOX_SOURCES_EU_POSTGRES_ULR: is not a known variable; did you mean OUTBOX_SOURCES_EU_POSTGRES_URL?"}},
		"variable of no source": {yaml: "sources:\n- {name: eu, postgres: {url: postgres://a}}", env: []string{"OUTBOX_SOURCES_ASIA_EAST_POSTGRES_URL=hunter2"}, want: []string{
			"OUTBOX_SOURCES_ASIA_EAST_POSTGRES_URL: is a setting of no source; the sources are those that the file lists"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			_, problems := load(t, input{yaml: tc.yaml, env: tc.env, args: tc.args, required: []string{"postgres.url"}})
			require.Equal(t, tc.want, problems)
		})
	}
}

func TestPrintShowsWhatSourcesSet(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{yaml: twoSources, env: []string{"OUTBOX_SOURCES_EU_MQ_TOKEN=hunter2"}})
	var out bytes.Buffer
	require.NoError(t, settings.Print(&out))
	printed := strings.ReplaceAll(out.String(), filepath.Dir(settings.File)+"/", "")
	_, sources, _ := strings.Cut(printed, "\nsources:\n")
	require.Equal(t, `  - name: eu
    postgres:
      url: postgres://relay:[hidden]@eu/game # config.yaml:7
    mq:
      token: '[hidden]' # OUTBOX_SOURCES_EU_MQ_TOKEN
  - name: us-west
    postgres:
      url: postgres://relay:[hidden]@us/game # config.yaml:9
      max_conns: 9 # config.yaml:9
    mq:
      stream_name: us-events # config.yaml:10
      subjects: [us.>] # config.yaml:10
    redis:
      host: cache # config.yaml:11
    relay:
      batch_bytes: 1MiB # config.yaml:12
`, sources)

	again := mustLoad(t, input{yaml: out.String()})
	require.Equal(t, names(settings), names(again))
	require.Equal(t, settings.Sources()[1].Config.MQ, again.Sources()[1].Config.MQ)
}

func TestTheSampleShowsSourcesThatCanBeLoaded(t *testing.T) {
	t.Parallel()
	_, example, found := strings.Cut(sampleText(t), "# sources:\n")
	require.True(t, found)
	secrets := t.TempDir()
	for name, url := range map[string]string{"eu": "postgres://eu", "us-west": "postgres://us"} {
		require.NoError(t, os.WriteFile(filepath.Join(secrets, name), []byte(url), 0o600))
	}
	yaml := "sources:\n" + strings.ReplaceAll(strings.ReplaceAll(example, "# ", ""), "/run/secrets", secrets)
	settings := mustLoad(t, input{yaml: yaml, required: []string{"postgres.url"}})
	require.Equal(t, []string{"eu", "us-west"}, names(settings))
	require.Equal(t, "us-west-events", settings.Sources()[1].Config.MQ.StreamName)
}

// names returns the names of the sources.
func names(s *Settings) []string {
	var names []string
	for _, source := range s.Sources() {
		names = append(names, source.Source)
	}
	return names
}

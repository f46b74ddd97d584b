package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProblemsOfAFile(t *testing.T) {
	t.Parallel()
	const (
		text     = "a text; in YAML, a number or a date needs quotes to be one"
		duration = "a time with its unit, such as 250ms, 5s or 1m30s"
		listAll  = "; `outbox-relay config print --defaults` lists all"
		hidden   = "; write a blank behind the colon of a key, and quotes around a value with a comma, a colon or a quote"
	)
	for name, tc := range map[string]struct {
		yaml string
		want []string
	}{
		"unknown section":        {"kafka: {}", []string{"config.yaml:1: kafka is not a known key" + listAll}},
		"misspelt section":       {"postgress: {}", []string{"config.yaml:1: postgress is not a known key; did you mean postgres?"}},
		"misspelt key":           {"mq:\n  nats_ulr: x", []string{"config.yaml:2: mq.nats_ulr is not a known key; did you mean mq.nats_url?"}},
		"camel case":             {"mq: {streamName: x}", []string{"config.yaml:1: mq.streamName is not a known key; did you mean mq.stream_name?"}},
		"dashes":                 {"mq: {stream-name: x}", []string{"config.yaml:1: mq.stream-name is not a known key; did you mean mq.stream_name?"}},
		"key at the top":         {"nats_url: x", []string{"config.yaml:1: nats_url is not a known key; did you mean mq.nats_url?"}},
		"key in another section": {"mq: {listen: x}", []string{"config.yaml:1: mq.listen is not a known key; did you mean admin.listen?"}},
		"unknown key":            {"log: {colour: true}", []string{"config.yaml:1: log.colour is not a known key" + listAll}},
		"no blank":               {"postgres: {url:postgres://u:p@h/db}", []string{"config.yaml:1: postgres.url[hidden] is not a known key" + hidden}},
		"comma in a password":    {"redis: {password: a,hunter2}", []string{"config.yaml:1: redis.[hidden] is not a known key" + hidden}},
		"misspelt after secret":  {"redis: {password: a, strean: x}", []string{"config.yaml:1: redis.strean is not a known key; did you mean redis.stream?"}},
		"odd key":                {"\"a\\nb\": 1", []string{"config.yaml:1: [hidden] is not a known key" + hidden}},
		"section is a list":      {"log: [a]", []string{"config.yaml:1: log is a list; allowed: a section, a mapping of keys to values"}},
		"section is a text":      {"log: debug", []string{"config.yaml:1: log is a text; allowed: a section, a mapping of keys to values"}},
		"file is a list":         {"\n- a", []string{"config.yaml:2: the file is a list; allowed: a mapping such as mq: {nats_url: ...}"}},
		"file is a text":         {"debug", []string{"config.yaml:1: the file is a text; allowed: a mapping such as mq: {nats_url: ...}"}},
		"two documents":          {"log: {}\n---\nmq: {}", []string{"config.yaml: holds more than one document; allowed: one, without a line ---"}},
		"key twice": {"log:\n  level: info\n  level: warn", []string{
			"config.yaml:3: log.level is set twice, first in line 2; allowed: once"}},
		"section twice": {"log: {}\nlog: {}", []string{"config.yaml:2: log is set twice, first in line 1; allowed: once"}},

		"number for text":      {"mq: {stream_name: 12}", []string{"config.yaml:1: mq.stream_name is 12, a number; allowed: " + text}},
		"bool for text":        {"mq: {stream_name: true}", []string{"config.yaml:1: mq.stream_name is true, a truth value; allowed: " + text}},
		"date for text":        {"mq: {stream_name: 2026-01-01}", []string{"config.yaml:1: mq.stream_name is 2026-01-01, a date; allowed: " + text}},
		"nothing for text":     {"mq:\n  nats_url:\n", []string{"config.yaml:2: mq.nats_url is without a value; allowed: " + text}},
		"list for text":        {"mq: {stream_name: [a]}", []string{"config.yaml:1: mq.stream_name is a list; allowed: " + text}},
		"own type for text":    {"mq: {stream_name: !x a}", []string{"config.yaml:1: mq.stream_name is a value with a type of its own; allowed: " + text}},
		"text for number":      {`redis: {port: "6379"}`, []string{"config.yaml:1: redis.port is 6379, a text; allowed: a whole number"}},
		"fraction for number":  {"redis: {port: 1.5}", []string{"config.yaml:1: redis.port is 1.5, a number; allowed: a whole number"}},
		"hexadecimal number":   {"redis: {port: 0x10}", []string{"config.yaml:1: redis.port is 0x10, a number; allowed: a whole number"}},
		"huge number":          {"redis: {port: 99999999999999999999}", []string{"config.yaml:1: redis.port is 99999999999999999999, a number; allowed: a whole number"}},
		"time without a unit":  {"relay: {poll_interval: 5}", []string{"config.yaml:1: relay.poll_interval is 5, a number; allowed: " + duration}},
		"time in words":        {"relay: {poll_interval: fast}", []string{"config.yaml:1: relay.poll_interval is fast, a text; allowed: " + duration}},
		"size in odd unit":     {"relay: {batch_bytes: 4MB}", []string{"config.yaml:1: relay.batch_bytes is 4MB, a text; allowed: a number of bytes, such as 65536, 64KiB, 4MiB or 1GiB; write 4MiB"}},
		"size beyond measure":  {"relay: {batch_bytes: 9999999999999GiB}", []string{"config.yaml:1: relay.batch_bytes is 9999999999999GiB, a text; allowed: a number of bytes, such as 65536, 64KiB, 4MiB or 1GiB"}},
		"text for list":        {"mq: {subjects: game.>}", []string{`config.yaml:1: mq.subjects is game.>, a text; allowed: a list of texts: in YAML ["a", "b"], elsewhere a,b`}},
		"list with a number":   {"mq: {subjects: [a, 5]}", []string{`config.yaml:1: mq.subjects is a list; allowed: a list of texts: in YAML ["a", "b"], elsewhere a,b`}},
		"out of range":         {"relay:\n  batch_events: 0", []string{"config.yaml:2: relay.batch_events is 0; allowed: 1 to 65536"}},
		"range in given units": {"relay: {batch_bytes: 1KiB}", []string{"config.yaml:1: relay.batch_bytes is 1KiB; allowed: 65536 (64 KiB) to 1073741824 (1 GiB)"}},
		"not a level":          {"log: {level: loud}", []string{"config.yaml:1: log.level is loud; allowed: debug, info, warn, error"}},
		"empty format":         {`log: {format: ""}`, []string{`config.yaml:1: log.format is ""; allowed: json, console`}},
		"not an address":       {"admin: {listen: localhost}", []string{`config.yaml:1: admin.listen is localhost; allowed: host:port such as 127.0.0.1:9470, or "" for no server`}},
		"not a port":           {"admin: {listen: 'localhost:http'}", []string{`config.yaml:1: admin.listen is localhost:http; allowed: host:port such as 127.0.0.1:9470, or "" for no server`}},
		"redis values": {"redis: {port: 70000, db: -1, stream: ''}", []string{
			"config.yaml:1: redis.port is 70000; allowed: 1 to 65535",
			"config.yaml:1: redis.db is -1; allowed: 0 or more",
			`config.yaml:1: redis.stream is ""; allowed: the key of a stream, such as game:events`}},
		"a default that no longer fits": {"relay: {backoff_min: 40s}", []string{
			"default: relay.backoff_max is 30s; allowed: at least backoff_min"}},
		"a wrong type is not judged by its default too": {"relay: {backoff_min: 40s, backoff_max: x}", []string{
			"config.yaml:1: relay.backoff_max is x, a text; allowed: " + duration}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := load(t, input{yaml: tc.yaml})
			require.Equal(t, tc.want, problems)
		})
	}
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ yaml, want string }{
		"list left open":    {"a: 1\nb: [1, 2\nc: 3\n", "config.yaml:2: is not valid YAML: did not find expected ',' or ']'"},
		"odd indentation":   {"a:\n  b: 1\n c: 2\n", "config.yaml:3: is not valid YAML: did not find expected key"},
		"tab":               {"a: 1\n\tb: 2\n", "config.yaml:2: is not valid YAML: found a tab character that violates indentation"},
		"quote left open":   {"a: 1\nb: \"x\nc: 2\n", "config.yaml:2: is not valid YAML: found unexpected end of stream"},
		"control character": {"a: \x01\n", "config.yaml: is not valid YAML: control characters are not allowed"},
		"unknown anchor":    {"redis: {password: *hunter2 }", "config.yaml: is not valid YAML: unknown anchor referenced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := load(t, input{yaml: tc.yaml})
			require.Equal(t, []string{tc.want}, problems)
		})
	}
}

func TestEmptyFilesAreFine(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n", "# only a comment\n", "---\n", "{}", "log:\n", "\ufefflog: {}"} {
		require.Equal(t, "info", mustLoad(t, input{yaml: content}).Config.Log.Level, "%q", content)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, problems := load(t, input{
		yaml: `
log:
  level: 7
mq:
  nats_ulr: nats://localhost
relay:
  batch_events: 0
  poll_interval: 5
redis:
  port: 0
`,
		env:      []string{"OUTBOX_MQ_NATSURL=x", "OUTBOX_RELAY_MAX_ATTEMPTS=many", "OUTBOX_ADMIN_LISTEN=9470"},
		args:     []string{"--relay.sweep_interval=1ms", "--redis.db=zero"},
		required: []string{"postgres.url"},
	})
	require.Equal(t, []string{
		"config.yaml:3: log.level is 7, a number; allowed: a text; in YAML, a number or a date needs quotes to be one",
		"config.yaml:5: mq.nats_ulr is not a known key; did you mean mq.nats_url?",
		"config.yaml:7: relay.batch_events is 0; allowed: 1 to 65536",
		"config.yaml:8: relay.poll_interval is 5, a number; allowed: a time with its unit, such as 250ms, 5s or 1m30s",
		"config.yaml:10: redis.port is 0; allowed: 1 to 65535",
		`OUTBOX_ADMIN_LISTEN: admin.listen is 9470; allowed: host:port such as 127.0.0.1:9470, or "" for no server`,
		"OUTBOX_MQ_NATSURL: is not a known variable; did you mean OUTBOX_MQ_NATS_URL?",
		"OUTBOX_RELAY_MAX_ATTEMPTS: relay.max_attempts is many; allowed: a whole number",
		"--redis.db: redis.db is zero; allowed: a whole number",
		"--relay.sweep_interval: relay.sweep_interval is 1ms; allowed: 1s or more",
		"postgres.url is not set; set it in config.yaml, as OUTBOX_POSTGRES_URL or as --postgres.url",
	}, problems)
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string][]string{
		// Left alone: they are not meant for us.
		"OUTBOX_TEST_POSTGRES_IMAGE=x":                       nil,
		"OUTBOX_POSTGRES_IMAGE=postgres:17":                  nil,
		"OUTBOX_NATS_URL=x":                                  {"OUTBOX_NATS_URL: is not a known variable; did you mean OUTBOX_MQ_NATS_URL?"},
		"OUTBOX_TEST_URL=x":                                  nil,
		"OUTBOX_PUBLISHER_TOKEN=x":                           nil,
		"OUTBOX=x":                                           nil,
		"MQ_NATS_URL=x":                                      nil,
		"OUTBOX_RELAY_SERVICE_HOST=10.0.0.1":                 nil,
		"OUTBOX_RELAY_SERVICE_PORT=9470":                     nil,
		"OUTBOX_RELAY_SERVICE_PORT_ADMIN=9470":               nil,
		"OUTBOX_RELAY_PORT=tcp://10.0.0.1:9470":              nil,
		"OUTBOX_RELAY_PORT_9470_TCP=tcp://10.0.0.1:9470":     nil,
		"OUTBOX_RELAY_PORT_9470_TCP_ADDR=10.0.0.1":           nil,
		"OUTBOX_REDIS_PORT=tcp://10.0.0.1:6379":              nil,
		"OUTBOX_POSTGRES_PORT_5432_TCP_PORT=5432":            nil,
		"OUTBOX_REDIS_PORT=udp://[fd00::1]:6379":             nil,
		"OUTBOX_MQ_STREAM_NAME=with=equals":                  nil,
		"OUTBOX_REDIS_PORT=http://redis":                     {"OUTBOX_REDIS_PORT: redis.port is http://redis; allowed: a whole number"},
		"OUTBOX_REDIS_PORT=":                                 {`OUTBOX_REDIS_PORT: redis.port is ""; allowed: a whole number`},
		"OUTBOX_RELAY_COLOUR=red":                            {"OUTBOX_RELAY_COLOUR: is not a known variable; `outbox-relay config print --defaults` lists all"},
		"OUTBOX_MQ_PASWORD_FILE=x":                           {"OUTBOX_MQ_PASWORD_FILE: is not a known variable; did you mean OUTBOX_MQ_PASSWORD_FILE?"},
		"OUTBOX_MQNATS_URL=x":                                {"OUTBOX_MQNATS_URL: is not a known variable; did you mean OUTBOX_MQ_NATS_URL?"},
		"OUTBOX_PSOTGRES_URL=x":                              {"OUTBOX_PSOTGRES_URL: is not a known variable; did you mean OUTBOX_POSTGRES_URL?"},
		"outbox_mq_nats_url=x":                               {"outbox_mq_nats_url: is not a known variable; did you mean OUTBOX_MQ_NATS_URL?"},
		"OUTBOX_LOG_LEVEL_FILE=x":                            {"OUTBOX_LOG_LEVEL_FILE: is not a known variable; `outbox-relay config print --defaults` lists all"},
		"OUTBOX_RELAY_BATCH_BYTES=" + string([]byte{0, 'x'}): {`OUTBOX_RELAY_BATCH_BYTES: relay.batch_bytes is "\x00x"; allowed: a number of bytes, such as 65536, 64KiB, 4MiB or 1GiB`},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			_, problems := load(t, input{env: []string{variable}})
			require.Equal(t, want, problems)
		})
	}
}

func TestUnknownVariableNeverShowsItsValue(t *testing.T) {
	t.Parallel()
	_, problems := load(t, input{env: []string{"OUTBOX_REDIS_PASWORD=hunter2"}, yaml: "redis: {passwort: hunter2}"})
	require.Equal(t, []string{
		"config.yaml:1: redis.passwort is not a known key; did you mean redis.password?",
		"OUTBOX_REDIS_PASWORD: is not a known variable; did you mean OUTBOX_REDIS_PASSWORD?",
	}, problems)
}

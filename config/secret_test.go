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

func secretFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestSecretFromAFile(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "hunter2\n")
	for name, in := range map[string]input{
		"file":                                  {yaml: "redis: {password_file: " + path + "}"},
		"environment":                           {env: []string{"OUTBOX_REDIS_PASSWORD_FILE=" + path}},
		"flag":                                  {args: []string{"--redis.password_file=" + path}},
		"a file wins over an earlier place":     {yaml: "redis: {password: old}", args: []string{"--redis.password_file=" + path}},
		"and one that does not count is unread": {yaml: "redis: {password_file: /missing}", env: []string{"OUTBOX_REDIS_PASSWORD=hunter2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "hunter2", mustLoad(t, in).Config.Redis.Password)
		})
	}
}

func TestSecretFileLosesOneNewline(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a ", "": "", "\n": "", "a\r": "a\r",
	} {
		got := mustLoad(t, input{env: []string{"OUTBOX_REDIS_PASSWORD_FILE=" + secretFile(t, content)}}).Config.Redis.Password
		require.Equal(t, want, got, "%q", content)
	}
}

func TestAVariableLosesOneNewline(t *testing.T) {
	t.Parallel()
	settings := mustLoad(t, input{env: []string{
		"OUTBOX_REDIS_PASSWORD=a\n\n", "OUTBOX_MQ_NATS_URL=nats://n:4222\r\n", "OUTBOX_RELAY_RETENTION=7m\n",
		"OUTBOX_POSTGRES_URL_FILE=" + secretFile(t, "postgres://db/game\n") + "\n",
	}})
	require.Equal(t, "a\n", settings.Config.Redis.Password)
	require.Equal(t, "nats://n:4222", settings.Config.MQ.NATSURL)
	require.Equal(t, 7*time.Minute, settings.Config.Relay.Retention)
	require.Equal(t, "postgres://db/game", settings.Config.Postgres.URL)
}

func TestSecretURLFromAFileIsJudged(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "postgres://relay:hunter2@db:port/game\n")
	_, problems := load(t, input{env: []string{"OUTBOX_POSTGRES_URL_FILE=" + path}})
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "OUTBOX_POSTGRES_URL_FILE, file ")
	require.Contains(t, problems[0], "postgres.url is [hidden]; allowed: postgres://user:password@host")
	require.Contains(t, problems[0], "(invalid port)")
}

func TestSecretFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	large := secretFile(t, strings.Repeat("x", maxSecret+1))
	const allowed = "; allowed: the path of a file that holds the secret"
	for name, tc := range map[string]struct {
		in   input
		want string
	}{
		"missing": {input{yaml: "redis: {password_file: /missing}"},
			"config.yaml:1: redis.password_file is [hidden], which cannot be read: no such file or directory" + allowed},
		"no path": {input{env: []string{"OUTBOX_REDIS_PASSWORD_FILE="}},
			`OUTBOX_REDIS_PASSWORD_FILE: redis.password_file is "", which cannot be read: no such file or directory` + allowed},
		"too large": {input{args: []string{"--redis.password_file=" + large}},
			"--redis.password_file: redis.password_file is " + large + ", which cannot be read: it holds more than 1 MiB" + allowed},
		"no text": {input{yaml: "redis: {password_file: 5}"},
			"config.yaml:1: redis.password_file is [hidden], a number; allowed: " + textForm.sentence},
		"both in the file": {input{yaml: "redis: {password: a}\nmq: {}\n", env: []string{
			"OUTBOX_REDIS_PASSWORD=a", "OUTBOX_REDIS_PASSWORD_FILE=" + large}},
			"OUTBOX_REDIS_PASSWORD_FILE: redis.password_file is set beside redis.password (OUTBOX_REDIS_PASSWORD); allowed: one of the two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := load(t, tc.in)
			require.Contains(t, problems, tc.want)
		})
	}
}

// secrets is an input with a different secret in every place that may hold one.
func secrets(secret string) map[string]input {
	return map[string]input{
		"number for a password":  {yaml: "redis: {password: 1" + secret + "}"},
		"list for a password":    {yaml: "redis: {password: [" + secret + "]}"},
		"password of its type":   {yaml: "redis: {password: !t " + secret + "}"},
		"anchor for a password":  {yaml: "redis: {password: *" + secret + " }"},
		"unknown key":            {yaml: "redis: {pasword: x" + secret + "}"},
		"broken file":            {yaml: "redis: {password: x" + secret},
		"not a connection":       {yaml: "postgres: {url: " + secret + "}"},
		"wrong connection":       {yaml: "postgres: {url: 'postgres://a:" + secret + "@db:port/x'}"},
		"slash in a password":    {yaml: "postgres: {url: 'postgres://a:/" + secret + "@db/x'}"},
		"wrong keyword value":    {yaml: "postgres: {url: 'host=db password=" + secret + " port=x'}"},
		"at sign in a password":  {env: []string{"OUTBOX_POSTGRES_URL=postgres://a:@" + secret + "@db:x/x"}},
		"wrong URL in a flag":    {args: []string{"--postgres.url=http://a:" + secret + "@db"}},
		"secret as a file":       {args: []string{"--redis.password=" + secret, "--redis.password_file=/x"}},
		"everything that is set": {yaml: "redis: {password: x" + secret + "}\npostgres: {url: 'postgres://a:" + secret + "@db/x'}\nmq: {nats_url: 'nats://" + secret + "@n'}"},
	}
}

func TestNoSecretIsEverShown(t *testing.T) {
	t.Parallel()
	const secret = "82671943"
	for name, in := range secrets(secret) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings, problems := load(t, in)
			shown := strings.Join(problems, "\n")
			if settings != nil {
				var printed bytes.Buffer
				require.NoError(t, settings.Print(&printed))
				shown += printed.String()
			}
			require.NotEmpty(t, shown)
			require.NotContains(t, shown, secret)
		})
	}
}

// FuzzLoad looks for a file that makes Load panic, or that makes it or Print show a password.
func FuzzLoad(f *testing.F) {
	const secret = "hunter2hunter2"
	for _, in := range secrets(secret) {
		f.Add(in.yaml)
	}
	f.Add("log: &a {level: *a}\n")
	f.Add("? [a, b]\n: {c: d}\n")
	f.Add("postgres: {url: 'postgres://relay:hunter2hunter2@db/game', max_conns: 9}\nmq:\n  subjects: [a, b]\n")
	f.Fuzz(func(t *testing.T, content string) {
		settings, problems := load(t, input{yaml: content})
		if settings == nil {
			return // what a problem may show of a secret is checked case by case: here the fuzzer may put it anywhere
		}
		require.Empty(t, problems)
		var printed bytes.Buffer
		require.NoError(t, settings.Print(&printed))
		if password := settings.Config.Redis.Password; len(password) > 10 && strings.Count(content, password) == 1 {
			require.NotContains(t, printed.String(), password)
		}
	})
}

func TestASecretIsReadAgain(t *testing.T) {
	t.Parallel()
	path, other := secretFile(t, "hunter2\n"), secretFile(t, "nats\n")
	settings := mustLoad(t, input{env: []string{"OUTBOX_REDIS_PASSWORD_FILE=" + path, "OUTBOX_MQ_USER=relay", "OUTBOX_MQ_PASSWORD_FILE=" + other}})
	require.NoError(t, os.WriteFile(path, []byte("hunter3\n"), 0o600))
	require.NoError(t, os.Remove(other)) // of a section that is not asked for
	now, err := settings.Reread("redis")
	require.NoError(t, err)
	require.Equal(t, "hunter3", now.Redis.Password)
	require.Equal(t, "hunter2", settings.Config.Redis.Password, "what was loaded stays")

	_, err = settings.Reread("mq")
	require.EqualError(t, err, "mq.password_file is "+other+", which cannot be read: no such file or directory; it is read at each connection")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = settings.Reread("redis")
	require.ErrorContains(t, err, "it is empty")
}

func TestASecretURLIsReadAgainAndJudged(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "postgres://relay:hunter2@db/game")
	settings := mustLoad(t, input{env: []string{"OUTBOX_POSTGRES_URL_FILE=" + path}})
	require.NoError(t, os.WriteFile(path, []byte("postgres://relay:hunter3@db:port/game"), 0o600))
	_, err := settings.Reread("postgres")
	require.ErrorContains(t, err, "section postgres")
	require.NotContains(t, err.Error(), "hunter3")
}

func TestASourceReadsItsOwnSecretAgain(t *testing.T) {
	t.Parallel()
	whole, own, eu := secretFile(t, "whole"), secretFile(t, "own"), secretFile(t, "postgres://a/game")
	settings := mustLoad(t, input{yaml: "redis: {host: cache, password_file: " + whole + "}\nsources:\n" +
		"- {name: eu, postgres: {url_file: " + eu + "}}\n- {name: us, postgres: {url: 'postgres://b/game'}, redis: {password_file: " + own + "}}\n" +
		"- {name: as, postgres: {url: 'postgres://c/game'}, redis: {password: fixed}}\n"})
	for path, text := range map[string]string{whole: "whole2", own: "own2", eu: "postgres://a2/game"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	for i, want := range []string{"whole2", "own2", "fixed"} {
		now, err := settings.Sources()[i].Reread("redis")
		require.NoError(t, err)
		require.Equal(t, want, now.Redis.Password)
	}
	now, err := settings.Sources()[0].Reread("postgres")
	require.NoError(t, err)
	require.Equal(t, "postgres://a2/game", now.Postgres.URL)
}

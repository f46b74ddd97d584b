package integration_test

import (
	"bufio"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// hostile is text that a terminal must not get as it is: it clears the screen, sets a title, turns
// the direction of writing, returns to the beginning of the line. hidden is what of it a subject
// may hold.
const (
	hostile = "\x1b[2J\x1b]0;owned\x07\u009b31m\x7f\rgood\u202e\u2066\u200f"
	hidden  = "a\u202eb\u2066c\u200fd"
)

// requireHarmless checks that a terminal shows what a command has written as it is.
func requireHarmless(t testing.TB, got cliResult, args []string) {
	t.Helper()
	for name, text := range map[string]string{"output": got.out, "errors": got.err} {
		require.True(t, utf8.ValidString(text), "%v: %s: %q", args, name, text)
		at := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' })
		require.Negative(t, at, "%v: %s: %q", args, name, text[max(0, at):])
	}
	if strings.Contains(strings.Join(args, " "), "--json") {
		for line := range strings.Lines(got.out) {
			require.True(t, json.Valid([]byte(line)), "%v: %s", args, line)
		}
	}
}

// answerRedis answers every command of a client with an error.
func answerRedis(conn net.Conn, text string) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "*") { // a command begins
			if _, err := conn.Write([]byte("-" + text + "\r\n")); err != nil {
				return
			}
		}
	}
}

// fakeRedis is a server that answers every command with an error. It returns the variables that
// make it the broker.
func fakeRedis(t testing.TB, text string) []string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerRedis(conn, text)
		}
	}()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return []string{"OUTBOX_REDIS_HOST=" + host, "OUTBOX_REDIS_PORT=" + port}
}

func TestHostileTextReachesNoTerminal(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	_, err := db.Pool.Exec(t.Context(), `
		insert into outbox.dead_letters
		    (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
		select 1000000 + n, gen_random_uuid(), $1, $2, jsonb_build_object('a', $2::text), convert_to($2, 'UTF8'), now(), 'refused', $2, 1, now(), now()
		from generate_series(1, 3) n`, hidden, hostile)
	require.NoError(t, err)
	env, subject := ownStream(t, harness.NATS(t))
	c := newCLI(t, db.URL, append(env, "OUTBOX_ADMIN_LISTEN="+harness.FreeAddress(t))...)
	relay := c.start(t)
	c.mustRun(t, "publish", subject+"."+hidden, hostile, "--key", hidden)
	require.Eventually(t, func() bool {
		_, body := relay.get(t, "/api/v1/status")
		return strings.Contains(body, `"published":1,`)
	}, cliTimeout, 20*time.Millisecond)
	nats := c
	redis := newCLI(t, db.URL, fakeRedis(t, "ERR "+hostile)...)
	broken := redis.start(t)
	require.Eventually(t, func() bool { return strings.Contains(broken.logged(), "owned") }, cliTimeout, 20*time.Millisecond)

	for _, try := range []struct {
		c    cli
		args []string
	}{
		{nats, []string{"dead", "list"}}, {nats, []string{"dead", "list", "--json"}}, {nats, []string{"dead", "show", "1000001"}},
		{nats, []string{"dead", "list", "--key", hostile, "--subject", hidden}},
		{nats, []string{"dead", "retry", "--all", "--dry-run"}}, {nats, []string{"dead", "discard", "--all", "--dry-run"}},
		{nats, []string{"dead", "discard", "1000001", "--note", hostile, "--by", hostile}}, {nats, []string{"dead", "show", "1000001"}},
		{nats, []string{"dead", "retry", "1000002", "--note", hostile, "--wait", "1s"}}, {nats, []string{"dead", "list", hostile}},
		{nats, []string{"replay", "--all", "--dry-run"}}, {nats, []string{"replay", "--all", "--dry-run", "--json"}},
		{nats, []string{"replay", "--key", hidden, "--new-ids"}}, {nats, []string{"replay", "list"}}, {nats, []string{"replay", "list", "--json"}},
		{nats, []string{"verify"}}, {nats, []string{"verify", "--json"}}, {nats, []string{"status"}}, {nats, []string{"status", "--json"}},
		{nats, []string{"config", "print", "--mq.stream_name", hidden}}, {nats, []string{"config", "print", "--log.level", hostile}},
		{nats, []string{"run", "--postgres.url", "postgres://" + hidden + ":x@127.0.0.1:1/" + hidden}}, {nats, []string{"publish", hostile}},
		{nats, []string{hostile}}, {nats, []string{"run", hostile}}, {nats, []string{"run", "--" + hostile}}, {nats, []string{"migrate", "status"}},
		{redis, []string{"verify"}}, {redis, []string{"verify", "--json"}}, {redis, []string{"replay", "--all", "--same-ids"}},
		{redis, []string{"dead", "retry", "1000003", "--wait", "1s"}}, {redis, []string{"status"}},
	} {
		requireHarmless(t, try.c.run(t, try.args...), try.args)
	}
	requireHarmless(t, cliResult{err: relay.logged() + broken.logged()}, nil)
}

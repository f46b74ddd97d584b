package redisstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// judged has the words of real servers.
var judged = []struct{ text, kind string }{
	{"REWOUND game:events ends at 1-0, and was at 2-0", "rewound"},
	{"OOM command not allowed when used memory > 'maxmemory'.", "throttled"},
	{"LOADING Redis is loading the dataset in memory", "unavailable"},
	{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "unavailable"},
	{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "unavailable"},
	{"READONLY You can't write against a read only replica.", "unavailable"},
	{"NOREPLICAS Not enough good replicas to write.", "unavailable"},
	{"CLUSTERDOWN Hash slot not served", "unavailable"},
	{"TRYAGAIN Multiple keys request during rehashing of slot", "unavailable"},
	{"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", "unavailable"},
	{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "unavailable"},
	{"ERR max number of clients reached", "unavailable"},
	{"MOVED 3999 127.0.0.1:6381", "misconfigured"},
	{"ASK 3999 127.0.0.1:6381", "misconfigured"},
	{"ERR This instance has cluster support disabled", "misconfigured"},
	{"ERR SELECT is not allowed in cluster mode", "misconfigured"},
	{"ERR DB index is out of range", "misconfigured"},
	{"NOAUTH Authentication required.", "misconfigured"},
	{"WRONGPASS invalid username-password pair or user is disabled.", "misconfigured"},
	{"ERR AUTH <password> called without any password configured for the default user. Are you sure?", "misconfigured"},
	{"NOPERM User relay has no permissions to run the 'xadd' command", "misconfigured"},
	{"ERR ACL failure in script: User relay has no permissions to run the 'hset' command", "misconfigured"},
	{"ERR The user executing the script can't run this command or subcommand script", "misconfigured"},
	{"DENIED Redis is running in protected mode because protected mode is enabled", "misconfigured"},
	{"WRONGTYPE Operation against a key holding the wrong kind of value", "misconfigured"},
	{"ERR The stream has exhausted the last possible ID, unable to add more items", "misconfigured"},
	{"ERR unknown command 'WAITAOF', with args beginning with: '1' '0' '1000'", "misconfigured"},
	{"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.", "misconfigured"},
	{"ERR Protocol error: invalid bulk length", "misconfigured"},
	{"ERR something new", "retry"},
	{"GATE the part before was not stored", "retry"},
	{"", "retry"},
}

func TestJudgeByWords(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	for _, test := range judged {
		v := cfg.judge(fmt.Errorf("wrapped: %w", newServerError("-"+test.text)))
		assert.Equal(t, test.kind, kind(v.err), test.text)
		assert.Equal(t, test.kind != "retry" || strings.HasPrefix(test.text, "GATE "), v.whole, test.text)
		require.ErrorAs(t, v.err, new(*serverError), "the server's words are kept")
		if test.kind == "misconfigured" {
			assert.Contains(t, v.err.Error(), "; ", "an operator's error ends in the next step")
		}
	}
}

func TestEveryRowOfTheTableIsTested(t *testing.T) {
	t.Parallel()
	for _, row := range classes {
		tested := false
		for _, test := range judged {
			tested = tested || strings.HasPrefix(test.text, row.begins)
		}
		require.True(t, tested, "%q is missing in judged", row.begins)
	}
}

func TestJudgeByError(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	for name, test := range map[string]struct {
		err  error
		kind string
	}{
		"nobody listens":        {&dialError{&net.OpError{Op: "dial", Err: errors.New("connection refused")}}, "unavailable"},
		"nobody answers a dial": {&dialError{context.DeadlineExceeded}, "unavailable"},
		"connection lost":       {io.EOF, "unavailable"},
		"connection broken":     {net.ErrClosed, "unavailable"},
		"silence":               {&net.OpError{Op: "read", Err: context.DeadlineExceeded}, "retry"},
		"the caller's end":      {context.Canceled, "retry"},
		"an odd answer":         {errReply, "retry"},
		"unknown authority":     {&dialError{x509.UnknownAuthorityError{}}, "misconfigured"},
		"a bad file":            {&dialError{unusable("tls.ca_file", io.EOF)}, "misconfigured"},
		"a failed attempt":      {fmt.Errorf("%w: before", relay.ErrUnavailable), "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := cfg.judge(fmt.Errorf("wrapped: %w", test.err))
			require.Equal(t, test.kind, kind(v.err), "%v", v.err)
			require.True(t, v.whole)
		})
	}
	unreachable := cfg.judge(io.EOF).err.Error()
	require.Contains(t, unreachable, "localhost:6379")
	require.Contains(t, unreachable, "is the server up, and is redis.host right?")
}

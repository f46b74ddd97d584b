package jetstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// kind names what the relay does about an error.
func kind(err error) string {
	var permanent *relay.PermanentError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &permanent):
		return "permanent " + string(permanent.Reason)
	case errors.As(err, new(*relay.ThrottledError)):
		return "throttled"
	case errors.Is(err, relay.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, relay.ErrMisconfigured):
		return "misconfigured"
	case errors.Is(err, relay.ErrRewound):
		return "rewound"
	}
	return "retry"
}

func full(description string) *apiError { return &apiError{503, 10077, description} }

func code(code int) *apiError { return &apiError{400, code, "x"} }

var judged = []struct {
	err   *apiError
	kind  string
	whole bool
}{
	{code(10054), "permanent too_large", false},
	{code(10097), "permanent too_large", false},
	{full("message too large"), "permanent too_large", false},
	{code(10060), "permanent refused", false},
	{code(10111), "permanent bad_header", false},
	{code(10165), "permanent bad_header", false},
	{code(10166), "permanent bad_header", false},
	{code(10168), "permanent bad_header", false},
	{code(10170), "permanent bad_header", false},
	{code(10171), "permanent bad_header", false},
	{code(10188), "permanent bad_header", false},
	{code(10189), "permanent bad_header", false},
	{code(10190), "permanent bad_header", false},
	{code(10191), "permanent bad_header", false},
	{code(10192), "permanent bad_header", false},
	{code(10193), "permanent bad_header", false},
	{code(10227), "permanent bad_header", false},

	{full("maximum messages exceeded"), "throttled", true},
	{full("maximum bytes exceeded"), "throttled", true},
	{full("maximum messages per subject exceeded"), "throttled", false},
	{code(10158), "throttled", false},
	{code(10163), "throttled", false},
	{code(10002), "throttled", true},
	{code(10023), "throttled", true},
	{code(10028), "throttled", true},
	{code(10047), "throttled", true},
	{code(10167), "throttled", true},
	{code(10210), "throttled", true},
	{code(10211), "throttled", true},

	{code(10008), "unavailable", true},
	{code(10009), "unavailable", true},
	{code(10076), "unavailable", true},
	{code(10118), "unavailable", true},
	{code(10194), "unavailable", true},
	{full("store is closed"), "unavailable", true},
	{full("write /js/game-events/msgs/1.blk: no space left on device"), "unavailable", true},
	{full("write /js/game-events/msgs/1.blk: input/output error"), "unavailable", true},

	{code(10039), "misconfigured", true},
	{code(10059), "misconfigured", true},
	{code(10109), "misconfigured", true},
	{code(10169), "misconfigured", true},
	{code(10174), "misconfigured", true},
	{code(10205), "misconfigured", true},
	{code(10206), "misconfigured", true},
	{code(10207), "misconfigured", true},

	{code(10208), "retry", true},
	{full("something new"), "retry", true},
	{code(99999), "retry", false},
	{code(0), "retry", false},
}

func TestJudgeByCode(t *testing.T) {
	t.Parallel()
	for _, test := range judged {
		v := judge(fmt.Errorf("wrapped: %w", test.err))
		assert.Equal(t, test.kind, kind(v.err), test.err.Error())
		assert.Equal(t, test.whole, v.whole, test.err.Error())
		assert.Equal(t, test.kind == "misconfigured", v.stale, test.err.Error())
		require.ErrorAs(t, v.err, new(*apiError), "the server's words are kept")
		if test.kind == "misconfigured" {
			assert.Contains(t, v.err.Error(), "; ", "an operator's error ends in the next step")
		}
	}
}

func TestEveryCodeOfTheTableIsTested(t *testing.T) {
	t.Parallel()
	tested := map[int]bool{}
	for _, test := range judged {
		tested[test.err.Code] = true
	}
	for code := range classes {
		require.True(t, tested[code], "code %d is missing in judged", code)
	}
}

func TestJudgeErrorsOfTheClient(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err   error
		kind  string
		whole bool
	}{
		{nats.ErrMaxPayload, "permanent too_large", false},
		{nats.ErrBadSubject, "permanent bad_subject", false},
		{nats.ErrBadHeaderMsg, "permanent bad_header", false},
		{&deniedError{what: "publish", subject: "game.x"}, "misconfigured", false},
		{nats.ErrConnectionClosed, "unavailable", true},
		{nats.ErrDisconnected, "unavailable", true},
		{nats.ErrReconnectBufExceeded, "unavailable", true},
		{nats.ErrStaleConnection, "unavailable", true},
		{nats.ErrNoServers, "unavailable", true},
		{io.EOF, "unavailable", true},
		{nats.ErrAuthorization, "misconfigured", true},
		{nats.ErrAuthExpired, "misconfigured", true},
		{nats.ErrAuthRevoked, "misconfigured", true},
		{nats.ErrAccountAuthExpired, "misconfigured", true},
		{nats.ErrSecureConnRequired, "misconfigured", true},
		{nats.ErrSecureConnWanted, "misconfigured", true},
		{nats.ErrHeadersNotSupported, "misconfigured", true},
		{x509.UnknownAuthorityError{}, "misconfigured", true},
		{x509.HostnameError{Certificate: &x509.Certificate{}}, "misconfigured", true},
		{errors.New("remote error: tls: certificate required"), "misconfigured", true},
		{errNoAck, "retry", true},
		{context.Canceled, "retry", true},
		{context.DeadlineExceeded, "retry", true},
		{&unroutedError{}, "retry", true},
	} {
		v := judge(fmt.Errorf("wrapped: %w", test.err))
		assert.Equal(t, test.kind, kind(v.err), test.err)
		assert.Equal(t, test.whole, v.whole, test.err)
		assert.ErrorIs(t, v.err, test.err)
	}
}

// A real server's answers must read as the table says. Each case sends one message that the server refuses.
func TestJudgeAnswersOfARealServer(t *testing.T) {
	t.Parallel()
	big := make([]byte, 2000)
	for name, test := range map[string]struct {
		stream  func(*streamConfig)
		header  nats.Header
		data    []byte
		before  int // messages stored before
		code    int
		verdict string
	}{
		"larger than the stream takes": {stream: func(c *streamConfig) { c.MaxMsgSize = 1000 }, data: big, code: 10054, verdict: "permanent too_large"},
		"headers over 64 KiB":          {header: nats.Header{"X": {string(make([]byte, 70_000))}}, code: 10097, verdict: "permanent too_large"},
		"another stream is expected":   {header: nats.Header{"Nats-Expected-Stream": {"OTHER"}}, code: 10060, verdict: "permanent refused"},
		"rollup":                       {header: nats.Header{"Nats-Rollup": {"all"}}, code: 10111, verdict: "permanent bad_header"},
		"TTL is disabled":              {header: nats.Header{"Nats-TTL": {"5s"}}, code: 10166, verdict: "permanent bad_header"},
		"TTL is invalid": {stream: func(c *streamConfig) { c.AllowMsgTTL = true }, header: nats.Header{"Nats-TTL": {"soon"}}, code: 10165,
			verdict: "permanent bad_header"},
		"counters are disabled": {header: nats.Header{"Nats-Incr": {"1"}}, code: 10168, verdict: "permanent bad_header"},
		"counter is missing":    {stream: func(c *streamConfig) { c.AllowMsgCounter, c.Discard = true, jsapi.DiscardOld }, code: 10169, verdict: "misconfigured"},
		"counter has payload": {stream: func(c *streamConfig) { c.AllowMsgCounter, c.Discard = true, jsapi.DiscardOld }, header: nats.Header{"Nats-Incr": {"1"}}, data: big, code: 10170,
			verdict: "permanent bad_header"},
		"counter is invalid": {stream: func(c *streamConfig) { c.AllowMsgCounter, c.Discard = true, jsapi.DiscardOld }, header: nats.Header{"Nats-Incr": {"x"}}, code: 10171,
			verdict: "permanent bad_header"},
		"schedules are disabled": {header: nats.Header{"Nats-Schedule": {"@every 5s"}}, code: 10188, verdict: "permanent bad_header"},
		"schedule is invalid": {stream: func(c *streamConfig) { c.AllowMsgSchedules, c.Discard = true, jsapi.DiscardOld }, header: nats.Header{"Nats-Schedule": {"never"}}, code: 10189,
			verdict: "permanent bad_header"},
		"schedule without target": {stream: func(c *streamConfig) { c.AllowMsgSchedules, c.Discard = true, jsapi.DiscardOld }, header: nats.Header{"Nats-Schedule": {"@every 5s"}}, code: 10190,
			verdict: "permanent bad_header"},
		"subject sequence is missing": {header: nats.Header{"Nats-Expected-Last-Subject-Sequence-Subject": {"game.x"}}, code: 10193,
			verdict: "permanent bad_header"},
		"source header":     {header: nats.Header{"Nats-Stream-Source": {"x"}}, code: 10227, verdict: "permanent bad_header"},
		"too many messages": {stream: func(c *streamConfig) { c.MaxMsgs = 1 }, before: 1, code: 10077, verdict: "throttled"},
		"too many bytes":    {stream: func(c *streamConfig) { c.MaxBytes = 1000 }, data: big, code: 10077, verdict: "throttled"},
		"too many messages of a subject": {stream: func(c *streamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true }, before: 1,
			code: 10077, verdict: "throttled"},
		"sealed": {stream: func(c *streamConfig) { c.Sealed = true }, code: 10109, verdict: "misconfigured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal := provoke(t, test.stream, test.before, &nats.Msg{Header: test.header, Data: test.data})
			require.NotNil(t, refusal, "the server took the message")
			require.Equal(t, test.code, refusal.Code, refusal.Description)
			require.Equal(t, test.verdict, kind(judge(refusal).err))
		})
	}
}

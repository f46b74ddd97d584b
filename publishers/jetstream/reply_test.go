package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]answer{
		`{"stream":"S","seq":22}`:                                                           {Stream: "S", Seq: 22},
		`{"stream":"S","domain":"hub","seq":22,"duplicate": true}`:                          {Stream: "S", Domain: "hub", Seq: 22, Duplicate: true},
		`{"stream":"S","seq":9,"batch":"b","count":5}`:                                      {Stream: "S", Seq: 9, Batch: "b", Count: 5},
		`{"type":"ack","seq":500,"msgs":500}`:                                               {Type: "ack", Seq: 500},
		`{"type":"gap","last_seq":4,"seq":6}`:                                               {Type: "gap", Seq: 6},
		`{"type":"err","seq":3,"error":{"code":400,"err_code":10060}}`:                      {Type: "err", Seq: 3, Error: &apiError{400, 10060, ""}},
		`{"error":{"code":503,"err_code":10077,"description":"full"},"stream":"S","seq":0}`: {Stream: "S", Error: &apiError{503, 10077, "full"}},
	} {
		a, err := parseAnswer(&nats.Msg{Data: []byte(data)})
		require.NoError(t, err, data)
		require.Equal(t, want, a, data)
	}
	a, err := parseAnswer(&nats.Msg{Header: nats.Header{"Status": {"503"}}})
	require.NoError(t, err)
	require.True(t, a.unrouted)
	for _, data := range []string{"", "{}", "null", "[]", "+OK", `{"seq":1}`, `{"stream":""}`, `{"type":"err","seq":3}`,
		`{"type":"ok","seq":3}`, `{"error":{}}`, `{"error":{"code":503,"err_code":10077,"description":"full"}}`, `{"error":{"code":400,"message":"no"}}`, `{"stream":"S","seq":-1}`} {
		_, err := parseAnswer(&nats.Msg{Data: []byte(data)})
		require.ErrorIs(t, err, errNoAck, "%q must never count as stored", data)
	}
}

func TestPlainAnswer(t *testing.T) {
	t.Parallel()
	const prefix = `{"stream":"S","seq":`
	seq, ok := plainAnswer([]byte(`{"stream":"S","seq":22}`), prefix)
	require.True(t, ok)
	require.EqualValues(t, 22, seq)
	for _, other := range []string{
		"", `{"stream":"S","seq":22`, `{"stream":"S","seq":22,"duplicate": true}`, `{"stream":"T","seq":22}`, `{"stream":"S","seq":}`, `{"stream":"S","seq":0}`,
	} {
		_, ok := plainAnswer([]byte(other), prefix)
		require.False(t, ok, other)
	}
}

func TestBatchReply(t *testing.T) {
	t.Parallel()
	subject := string(batchReply(nil, "_INBOX.x.b.500.fail.", 4096, opCommit))
	require.Equal(t, "_INBOX.x.b.500.fail.4096.2.$FI", subject)
	place, ok := parseBatchReply(subject, "_INBOX.x.b.500.fail.")
	require.True(t, ok)
	require.Equal(t, 4096, place)
	for _, other := range []string{"", "_INBOX.x.c.500.fail.1.2.$FI", "_INBOX.x.b.500.fail.", "_INBOX.x.b.500.fail.x.2.$FI", "_INBOX.x.b.500.fail.1.$FI"} {
		_, ok := parseBatchReply(other, "_INBOX.x.b.500.fail.")
		require.False(t, ok, other)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"stream":"S","seq":22}`), "1.2.$FI")
	f.Add([]byte(`{"type":"err","seq":3,"error":{}}`), "_INBOX.x.b.500.fail.x")
	f.Fuzz(func(t *testing.T, data []byte, subject string) {
		a, err := parseAnswer(&nats.Msg{Data: data})
		if err == nil && a.Type == "" && a.Error == nil && a.Stream == "" {
			t.Fatal("an answer without content was taken for an acknowledgement")
		}
		b := scripted(3)
		b.take(&nats.Msg{Subject: b.prefix + subject, Data: data})
		k := &keyed{
			call: b.call, prefix: "inbox.1.", plain: `{"stream":"S","seq":`,
			todo: []int{0, 1, 2}, flying: []bool{true, true, false}, next: []int{1, 2, -1},
		}
		k.take(&nats.Msg{Subject: k.prefix + subject, Data: data})
		parseBatchReply(subject, "_INBOX.x.b.500.fail.")
		plainAnswer(data, `{"stream":"S","seq":`)
	})
}

func TestParseDenied(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]deniedError{
		`nats: permissions violation: Permissions Violation for Publish to "game.x"`:                {"publish", "game.x"},
		`Permissions Violation for Publish to "game.\"玩家\""`:                                        {"publish", `game."玩家"`},
		`Permissions Violation for Subscription to "_INBOX.a.>"`:                                    {"subscribe", "_INBOX.a.>"},
		`Permissions Violation for Subscription to "_INBOX.a" using queue "q"`:                      {"subscribe", "_INBOX.a"},
		`Permissions Violation for Publish with Reply of "_INBOX.a.b"`:                              {"reply", "_INBOX.a.b"},
		`nats: permissions violation: Permissions Violation for Publish to "$JS.API.STREAM.INFO.S"`: {"publish", "$JS.API.STREAM.INFO.S"},
	} {
		denied, ok := parseDenied(textError(text))
		require.True(t, ok, text)
		require.Equal(t, want, *denied)
		require.Contains(t, denied.Error(), want.subject)
		require.Contains(t, denied.Error(), "grant it")
	}
	_, ok := parseDenied(textError("nats: stale connection"))
	require.False(t, ok)
}

type textError string

func (e textError) Error() string { return string(e) }

package jetstream

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// Whatever a server says, or a subscriber in its place, a batch is never acknowledged beyond what was
// sent, nor a refused event acknowledged.
func FuzzBatchAnswers(f *testing.F) {
	f.Add("1.0.$FI", `{"type":"ack","seq":0,"msgs":500}`, "10.2.$FI", `{"stream":"S","seq":20,"batch":"b","count":10}`)
	f.Add("4.1.$FI", `{"type":"err","seq":4,"error":{"code":400,"err_code":10060}}`, "9.1.$FI", `{"type":"ack","seq":9,"msgs":1}`)
	f.Add("3.1.$FI", `{"type":"gap","last_seq":2,"seq":4}`, "1.0.$FI", `{"error":{"code":503,"err_code":10076}}`)
	f.Add("10.2.$FI", `{"stream":"S","seq":18446744073709551615,"batch":"b","count":18446744073709551615}`, "0.0.$FI", `{"type":"ack","seq":1}`)
	f.Fuzz(func(t *testing.T, place1, data1, place2, data2 string) {
		b := scripted(10)
		b.call.link.nc = &nats.Conn{} // which sends nothing
		for _, answer := range [][2]string{{place1, data1}, {place2, data2}} {
			if !b.over() {
				b.take(&nats.Msg{Subject: b.prefix + answer[0], Data: []byte(answer[1])})
			}
			require.LessOrEqual(t, b.acked, b.sent)
			if b.refusedAt > 0 {
				require.Less(t, b.acked, b.refusedAt)
			}
		}
		stored, fresh := b.proven()
		require.LessOrEqual(t, stored, b.sent)
		if fresh && stored > 0 {
			require.Equal(t, b.end+uint64(stored), b.last.Seq)
		}
	})
}

// A message that the stream holds may be anybody's.
func FuzzStoredMessage(f *testing.F) {
	f.Add([]byte(`{"message":{"subject":"game.a","seq":5,"hdrs":"TkFUUy8xLjANCk5hdHMtTXNnLUlkOiA2YmE3YjgxMC05ZGFkLTExZDEtODBiNC0wMGMwNGZkNDMwYzgNCk91dGJveC1TZXE6IDUNCg0K","data":"eA==","time":"2026-01-02T03:04:05Z"}}`))
	f.Add([]byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`))
	f.Add([]byte(`{"message":{"seq":1,"hdrs":"TkFUUy8xLjAgNDA0DQoNCg=="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &link{session: &session{log: zap.NewNop()}, target: &target{stream: "S"}}
		message, err := l.parseGot(data)
		if err != nil || message == nil {
			return
		}
		if event, ours := message.event(); ours {
			require.Equal(t, message.sequence, event.Sequence)
			require.False(t, event.StoredAt.After(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)))
		}
	})
}

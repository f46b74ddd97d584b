package jetstream

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// Many events that are refused for good cost one wait for a second answer, not one each.
func TestManyOversizeEventsWaitOnce(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{0, 1, 7} {
		t.Run(fmt.Sprintf("%d keys", keys), func(t *testing.T) {
			t.Parallel()
			modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
				p, cfg, js := behind(t, prepare, func(c *streamConfig) { c.MaxMsgSize = 2000 })
				events := testEvents(cfg, 600, keys)
				for i := range events {
					events[i].Subject += fmt.Sprintf(".%d", i)
					if i%20 == 3 {
						events[i].Payload = bytes.Repeat([]byte("x"), 3000)
					}
				}
				began := time.Now()
				outcomes, err := p.Publish(t.Context(), events)
				require.NoError(t, err)
				require.Less(t, time.Since(began), 5*secondWait)
				var want []int64
				for i := range events {
					if i%20 == 3 {
						require.Equal(t, "permanent too_large", kind(outcomes[i].Err))
						require.ErrorContains(t, outcomes[i].Err, "the stream takes 2000")
						continue
					}
					requireStored(t, outcomes, i)
					want = append(want, events[i].ID)
				}
				require.ElementsMatch(t, want, storedIDs(t, js, cfg.StreamName))
			})
		})
	}
}

// refuseSubject makes a server answer the events of a subject with a refusal for good, as a proxy
// may that adds a header.
func refuseSubject(t *testing.T, s *testServer, from, stream string) {
	t.Helper()
	const to = "refused"
	nc := s.admin().Conn()
	_, err := nc.Subscribe(to, func(msg *nats.Msg) {
		_ = msg.Respond(fmt.Appendf(nil,
			`{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"},"stream":%q,"seq":0}`, stream))
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	require.NoError(t, s.running.GlobalAccount().AddWeightedMappings(from, server.NewMapDest(to, 100)))
}

func TestManyRefusalsForGoodWaitOnce(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{0, 1, 7} {
		t.Run(fmt.Sprintf("%d keys", keys), func(t *testing.T) {
			t.Parallel()
			modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
				s := startServer(t, "")
				cfg := prepare(t, s, configFor(t, s.url()))
				p, _ := connect(t, cfg)
				events := testEvents(cfg, 600, keys)
				refuseSubject(t, s, events[0].Subject+".bad", cfg.StreamName)
				for i := range events {
					if i%20 == 3 {
						events[i].Subject += ".bad"
					}
				}
				for range 2 {
					began := time.Now()
					outcomes, err := p.Publish(t.Context(), events)
					require.NoError(t, err)
					require.Less(t, time.Since(began), 5*secondWait)
					for i := range events {
						if i%20 == 3 {
							require.Equal(t, "permanent refused", kind(outcomes[i].Err))
							continue
						}
						requireStored(t, outcomes, i)
					}
				}
			})
		})
	}
}

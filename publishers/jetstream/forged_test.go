package jetstream

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// forgeries are what a subscriber may answer to an event that the stream stores.
var forgeries = map[string]func(m *nats.Msg, stream string) *nats.Msg{
	"a word of its own": func(*nats.Msg, string) *nats.Msg { return &nats.Msg{Data: []byte("+OK")} },
	"nothing":           func(*nats.Msg, string) *nats.Msg { return &nats.Msg{} },
	"an empty object":   func(*nats.Msg, string) *nats.Msg { return &nats.Msg{Data: []byte("{}")} },
	"an error without an error": func(*nats.Msg, string) *nats.Msg {
		return &nats.Msg{Data: []byte(`{"type":"err","seq":3}`)}
	},
	"an error at place 0": func(*nats.Msg, string) *nats.Msg {
		return &nats.Msg{Data: []byte(`{"type":"err","seq":0,"error":{"code":400,"err_code":10054}}`)}
	},
	"an error far beyond": func(m *nats.Msg, _ string) *nats.Msg {
		return &nats.Msg{Subject: movedTo(m.Reply, "99999999"), Data: []byte(`{"error":{"code":503,"err_code":10077}}`)}
	},
	"an error of the batch at place 0": func(m *nats.Msg, _ string) *nats.Msg {
		return &nats.Msg{Subject: movedTo(m.Reply, "0"), Data: []byte(`{"error":{"code":503,"err_code":10077}}`)}
	},
	"an error at a negative place": func(m *nats.Msg, _ string) *nats.Msg {
		return &nats.Msg{Subject: movedTo(m.Reply, "-5"), Data: []byte(`{"error":{"code":503,"err_code":10077}}`)}
	},
	"nobody at a place beyond": func(m *nats.Msg, _ string) *nats.Msg {
		return &nats.Msg{Subject: movedTo(m.Reply, "777777"), Header: nats.Header{"Status": {"503"}}}
	},
	"nobody at place 0": func(m *nats.Msg, _ string) *nats.Msg {
		return &nats.Msg{Subject: movedTo(m.Reply, "0"), Header: nats.Header{"Status": {"503"}}}
	},
	"another status": func(*nats.Msg, string) *nats.Msg {
		return &nats.Msg{Header: nats.Header{"Status": {"409"}, "Description": {"Leadership Change"}}}
	},
	"a place in the batch of 2^64-1": func(*nats.Msg, string) *nats.Msg {
		return &nats.Msg{Data: []byte(`{"type":"ack","seq":18446744073709551615}`)}
	},
	"a sequence of 9e18": func(_ *nats.Msg, stream string) *nats.Msg {
		return &nats.Msg{Data: fmt.Appendf(nil, `{"stream":%q,"seq":9000000000000000000}`, stream)}
	},
	"the end of a batch at 9e18": func(_ *nats.Msg, stream string) *nats.Msg {
		const end = `{"stream":%q,"seq":9000000000000000000,"batch":"x","count":9000000000000000000}`
		return &nats.Msg{Data: fmt.Appendf(nil, end, stream)}
	},
	"a duplicate at 2^63": func(_ *nats.Msg, stream string) *nats.Msg {
		return &nats.Msg{Data: fmt.Appendf(nil, `{"stream":%q,"seq":9223372036854775808,"duplicate":true}`, stream)}
	},
	"a refusal that names no stream": func(*nats.Msg, string) *nats.Msg {
		return &nats.Msg{Data: []byte(`{"error":{"code":400,"err_code":10054,"description":"too large"}}`)}
	},
	"a refusal for good": func(_ *nats.Msg, stream string) *nats.Msg {
		return &nats.Msg{Data: fmt.Appendf(nil, `{"error":{"code":400,"err_code":10054,"description":"too large"},"stream":%q,"seq":0}`, stream)}
	},
	"a refusal for good in the batch": func(*nats.Msg, string) *nats.Msg {
		return &nats.Msg{Data: []byte(`{"type":"err","seq":2,"error":{"code":400,"err_code":10054,"description":"too large"}}`)}
	},
}

// movedTo returns the reply subject of another place of the same call.
func movedTo(reply, place string) string {
	tokens := strings.Split(reply, ".")
	if at := len(tokens) - 3; strings.HasSuffix(reply, batchSuffix) {
		tokens[at] = place
	} else {
		tokens[len(tokens)-1] = place
	}
	return strings.Join(tokens, ".")
}

// A subscriber that answers events with whatever it likes makes no event a dead letter, counts none
// as stored that is not, moves no position beyond the stream, and ends nothing.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	slow := startServer(t, "") // so that forgeries come first
	slow.stop()
	slow.options.SyncAlways = true
	slow.start()
	for name, forge := range forgeries {
		for _, size := range []int{1, 20} {
			t.Run(fmt.Sprint(name, " of ", size), func(t *testing.T) {
				t.Parallel()
				modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
					s := &testServer{t: t, options: slow.options, running: slow.running}
					cfg := prepare(t, s, configFor(t, s.url()))
					p, _ := connect(t, cfg)
					state, err := p.Inspect(t.Context())
					require.NoError(t, err)
					p.Accept(state)
					forged, stop := s.forger(t, cfg, forge)
					events := testEvents(cfg, size, 3)
					var last error
					defer func() {
						if t.Failed() {
							t.Log("the last error of Publish:", last)
						}
					}()
					publish := func() bool {
						outcomes, err := p.Publish(t.Context(), events)
						last = err
						for i, outcome := range outcomes {
							require.False(t, isPermanent(outcome.Err), "event %d: %v", i, outcome.Err)
							require.LessOrEqual(t, outcome.Sequence, uint64(size))
						}
						require.NotErrorIs(t, err, relay.ErrRewound)
						return err == nil && !containsUnstored(outcomes)
					}
					if strings.HasPrefix(name, "a refusal for good") {
						// It may be the word of a second stream of that name, which stops the
						// events while it lasts.
						for range 3 {
							publish()
						}
						stop()
					}
					require.Eventually(t, publish, patience, time.Millisecond)
					require.Eventually(t, func() bool { return forged.Load() > 0 }, patience, time.Millisecond)
					requireOrder(t, s.admin(), cfg.StreamName, events)
					require.LessOrEqual(t, p.baseline.last(), uint64(size))
					_, err = p.Publish(t.Context(), testEvents(cfg, 2, 1))
					require.NotErrorIs(t, err, relay.ErrRewound, "no position beyond the stream")
				})
			})
		}
	}
}

func containsUnstored(outcomes []relay.Outcome) bool {
	for _, outcome := range outcomes {
		if !outcome.Stored {
			return true
		}
	}
	return false
}

// forger answers every event at its reply subject, as any subscriber may, until it is stopped. It
// counts its answers.
func (s *testServer) forger(
	t *testing.T, cfg Config, forge func(m *nats.Msg, stream string) *nats.Msg,
) (forged *atomic.Int64, stop func()) {
	t.Helper()
	nc, err := nats.Connect(s.url())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	forged = new(atomic.Int64)
	_, err = nc.Subscribe(cfg.Subjects[0], func(m *nats.Msg) {
		answer := forge(m, cfg.StreamName)
		if answer.Subject == "" {
			answer.Subject = m.Reply
		}
		_ = nc.PublishMsg(answer)
		_ = nc.Flush()
		forged.Add(1)
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return forged, nc.Close
}

// Subscribers see events and nothing else, also after a pause and while a batch is refused in its
// midst.
func TestSubscribersSeeEventsAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	cfg.PublishTimeout = 200 * time.Millisecond // so that a tick is always due
	p, _ := connect(t, cfg)
	nc, err := nats.Connect(s.url())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	seen, err := nc.SubscribeSync(cfg.Subjects[0])
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	for range 30 {
		began := time.Now()
		tickIsDue := func() bool { return time.Since(began) > cfg.PublishTimeout/3 }
		require.Eventually(t, tickIsDue, patience, time.Millisecond)
		events := testEvents(cfg, 2, 2)
		eventually(t, p, events)
	}
	requireEventsAlone(t, nc, seen)
}

// requireEventsAlone checks that what a subscriber has got so far are events.
func requireEventsAlone(t *testing.T, nc *nats.Conn, seen *nats.Subscription) {
	t.Helper()
	require.NoError(t, nc.Flush())
	pending, _, err := seen.Pending()
	require.NoError(t, err)
	require.Positive(t, pending)
	for range pending {
		msg, err := seen.NextMsg(patience)
		require.NoError(t, err)
		require.NotEmpty(t, msg.Header.Get(headerID), "a message that is no event, to %s with reply %s: %q",
			msg.Subject, msg.Reply, msg.Data)
	}
}

// The server drops events of a batch that the user may not publish. The batch is ended all the
// same, by an event.
func TestSubscribersSeeEventsAloneWhereOthersAreDenied(t *testing.T) {
	t.Parallel()
	for _, places := range [][]int{{3}, {9}, {8, 9}, {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		s, cfg := restricted(t, `publish: { deny: ["game.*.secret.>"] }`)
		_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.withSubjects("game.>").stream(true))
		require.NoError(t, err)
		p, _ := connect(t, cfg)
		nc, err := nats.Connect(s.url(), asAdmin())
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		seen, err := nc.SubscribeSync("game.>")
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		events := testEvents(cfg, 10, 0)
		for n, i := range places {
			events[i].Subject = fmt.Sprintf("game.x.secret.%d", n)
		}
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		for i := range events {
			require.Equal(t, !strings.Contains(events[i].Subject, "secret"), outcomes[i].Stored)
		}
		requireEventsAlone(t, nc, seen)
	}
}

package jetstream

import (
	"fmt"
	"testing"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// domains are a hub and a leaf node of it, each with a JetStream domain of its own.
type domains struct{ hub, leaf *testServer }

func startDomains(t *testing.T) domains {
	t.Helper()
	port := freePort(t)
	hub := startDomain(t, "hub", fmt.Sprintf("server_name: hub\nleafnodes { listen: \"127.0.0.1:%d\" }", port))
	leaf := startDomain(t, "leaf", fmt.Sprintf("server_name: leaf\nleafnodes { remotes [ { url: \"nats://127.0.0.1:%d\" } ] }", port))
	require.Eventually(t, func() bool { return leaf.running.NumLeafNodes() == 1 && hub.running.NumLeafNodes() == 1 }, patience, 20*time.Millisecond)
	return domains{hub, leaf}
}

// sides are the two streams of one name: the one that is asked for and the other, and the settings that reach the former.
type sides struct {
	cfg          Config
	asked, other jsapi.JetStream
}

// directions runs a test for each server that the relay may be connected to and each domain that it may ask for.
func directions(t *testing.T, fast bool, test func(*testing.T, sides)) {
	for _, c := range []struct {
		name, domain  string
		atHub, askHub bool
	}{
		{"at the leaf, of the leaf", "", false, false},
		{"at the leaf, of the hub", "hub", false, true},
		{"at the hub, of the hub", "", true, true},
		{"at the hub, of the leaf", "leaf", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := startDomains(t)
			at, asked, other := d.leaf, d.leaf, d.hub
			if c.atHub {
				at = d.hub
			}
			if c.askHub {
				asked, other = d.hub, d.leaf
			}
			s := sides{asked: asked.admin(), other: other.admin()}
			s.cfg = configFor(t, at.url())
			s.cfg.Domain = c.domain
			for js, first := range map[jsapi.JetStream]uint64{s.asked: 1, s.other: 1_000_000} {
				stream := s.cfg.stream(fast)
				stream.FirstSeq = first
				_, err := js.CreateStream(t.Context(), stream)
				require.NoError(t, err)
			}
			s.connectSides(t)
			test(t, s)
		})
	}
}

// connectSides waits until each side hears what is published at the other. What a stream captures is told before.
func (s sides) connectSides(t *testing.T) {
	t.Helper()
	for from, to := range map[jsapi.JetStream]jsapi.JetStream{s.asked: s.other, s.other: s.asked} {
		subject := nuid.Next()
		heard, err := to.Conn().SubscribeSync(subject)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			if err := from.Conn().Publish(subject, nil); err != nil {
				return false
			}
			_, err := heard.NextMsg(20 * time.Millisecond)
			return err == nil
		}, patience, time.Millisecond)
	}
}

// publishAll publishes events until each is stored.
func publishAll(t *testing.T, p *Publisher, events []relay.Event) {
	t.Helper()
	for began := time.Now(); len(events) > 0; {
		require.Less(t, time.Since(began), patience, "%d events are not stored", len(events))
		outcomes, _ := p.Publish(t.Context(), events)
		var left []relay.Event
		for i, outcome := range outcomes {
			require.False(t, isPermanent(outcome.Err), "%v", outcome.Err)
			if !outcome.Stored {
				left = append(left, events[i])
			}
		}
		events = left
	}
}

// TestTheAnswerOfAnotherDomainIsNotBelieved has two streams of one name hear each event and answer it.
func TestTheAnswerOfAnotherDomainIsNotBelieved(t *testing.T) {
	for name, fast := range map[string]bool{"fast": true, "keyed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directions(t, fast, func(t *testing.T, s sides) {
				p, _ := connect(t, s.cfg)
				state, err := p.Inspect(t.Context())
				require.NoError(t, err)
				p.Accept(state)
				var all []relay.Event
				for _, n := range []int{1, 300, 1, 40, 1200} {
					events := testEvents(s.cfg, n, 7)
					publishAll(t, p, events)
					all = append(all, events...)
				}
				require.ElementsMatch(t, ids(all), storedIDs(t, s.asked, s.cfg.StreamName))
				state, err = p.Inspect(t.Context())
				require.NoError(t, err)
				var read []int64
				require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 1, Last: state.Last}, func(e relay.StoredEvent) error {
					read = append(read, e.ID)
					return nil
				}))
				require.ElementsMatch(t, ids(all), read, "the tail of the stream that was asked")
				require.GreaterOrEqual(t, state.Last, p.baseline.last(), "the stream has not reached what it is believed to have")
			})
		})
	}
}

// TestAFullStreamIsNotMadeUpForByAnother has the stream that was asked for refuse what the other stores.
func TestAFullStreamIsNotMadeUpForByAnother(t *testing.T) {
	for name, fast := range map[string]bool{"fast": true, "keyed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directions(t, fast, func(t *testing.T, s sides) {
				update(t, s.asked, s.cfg.StreamName, func(c *streamConfig) { c.MaxMsgs = 5 })
				p, _ := connect(t, s.cfg)
				events := testEvents(s.cfg, 300, 7)
				stored := map[int64]bool{}
				for range 5 {
					outcomes, _ := p.Publish(t.Context(), events)
					for i, outcome := range outcomes {
						if outcome.Stored {
							stored[events[i].ID] = true
						}
					}
				}
				has := map[int64]bool{}
				for _, id := range storedIDs(t, s.asked, s.cfg.StreamName) {
					has[id] = true
				}
				for id := range stored {
					require.True(t, has[id], "event %d counts as stored and is not in the stream", id)
				}
				require.Len(t, has, 5)
			})
		})
	}
}

// TestTheRefusalOfAnotherDomainIsNotBelieved has the other stream refuse what the one that was asked for stores.
func TestTheRefusalOfAnotherDomainIsNotBelieved(t *testing.T) {
	for name, fast := range map[string]bool{"fast": true, "keyed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directions(t, fast, func(t *testing.T, s sides) {
				update(t, s.other, s.cfg.StreamName, func(c *streamConfig) { c.MaxMsgSize = 20 })
				p, _ := connect(t, s.cfg)
				var all []relay.Event
				for _, n := range []int{1, 300, 1, 300} {
					events := testEvents(s.cfg, n, 7)
					publishAll(t, p, events)
					all = append(all, events...)
				}
				require.ElementsMatch(t, ids(all), storedIDs(t, s.asked, s.cfg.StreamName))
			})
		})
	}
}

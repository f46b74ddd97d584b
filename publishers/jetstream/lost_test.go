package jetstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// requireSwallowed checks the outcome of an event whose subject leads to a subscriber that never answers.
func requireSwallowed(t *testing.T, outcome relay.Outcome, event relay.Event) {
	t.Helper()
	requireMisconfigured(t, outcome.Err, event.Subject, "does not reach stream", "mapping")
}

// A subject that is mapped to a subscriber delays its own events, and the relay is told so at once.
// Others are stored in the same call, and no further call waits for it.
func TestASubjectThatASubscriberTakes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 10} {
		for place := range n {
			if place > 0 && place < n-1 && place != n/2 {
				continue
			}
			t.Run(fmt.Sprintf("%d of %d", place, n), func(t *testing.T) {
				t.Parallel()
				modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
					s := startServer(t, "")
					cfg := prepare(t, s, configFor(t, s.url()))
					p, _ := connect(t, cfg)
					publishAll(t, p, testEvents(cfg, 1, 0)) // the control where the event is alone
					nc, err := nats.Connect(s.url())
					require.NoError(t, err)
					t.Cleanup(nc.Close)
					seen, err := nc.SubscribeSync(cfg.Subjects[0])
					require.NoError(t, err)
					require.NoError(t, nc.Flush())
					events := testEvents(cfg, n, 0)
					events[place].Subject += ".lost"
					restore := swallow(t, s, events[place].Subject, "")
					outcomes, err := p.Publish(t.Context(), events)
					require.NoError(t, err)
					requireSwallowed(t, outcomes[place], events[place])
					require.ErrorAs(t, outcomes[place].Err, new(*relay.AmbiguousError), "it was sent")
					for i := range events {
						if i != place {
							requireStored(t, outcomes, i)
						}
					}

					began := time.Now()
					for range 5 {
						more := testEvents(cfg, 10, 0)
						more[3].Subject = events[place].Subject
						outcomes, err = p.Publish(t.Context(), more)
						require.NoError(t, err)
						requireSwallowed(t, outcomes[3], more[3])
						require.NotErrorAs(t, outcomes[3].Err, new(*relay.AmbiguousError), "it was not sent")
						requireStored(t, outcomes, 0, 9)
					}
					require.Less(t, time.Since(began), cfg.PublishTimeout)

					restore()
					eventually(t, p, events)
					requireEventsAlone(t, nc, seen)
				})
			})
		}
	}
}

// A publisher that has stored nothing yet takes an event of the stream for a control.
func TestASubjectThatASubscriberTakesFirst(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		cfg := prepare(t, s, configFor(t, s.url()))
		before, _ := connect(t, cfg)
		publishAll(t, before, testEvents(cfg, 1, 0))
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 1, 0)
		events[0].Subject += ".lost"
		restore := swallow(t, s, events[0].Subject, "")
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireSwallowed(t, outcomes[0], events[0])
		restore()
		eventually(t, p, events)
	})
}

// Later events of its key do not overtake it, in any call.
func TestASwallowedEventHoldsItsKey(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		cfg := prepare(t, s, configFor(t, s.url()))
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 6, 2)
		events[2].Subject += ".lost"
		restore := swallow(t, s, events[2].Subject, "")
		for range 3 {
			outcomes, err := p.Publish(t.Context(), events)
			require.NoError(t, err)
			requireStored(t, outcomes, 0, 1, 3, 5)
			requireSwallowed(t, outcomes[2], events[2])
			require.Zero(t, outcomes[4])
		}
		restore()
		eventually(t, p, events)
	})
}

package jetstream

import (
	"bytes"
	"strings"
	"testing"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// behind prepares a publisher that knows the stream as it was before an operator changed it, so
// that the server, and not the publisher, refuses.
func behind(
	t *testing.T, prepare func(*testing.T, *testServer, Config) Config, change func(*streamConfig),
) (*Publisher, Config, jsapi.JetStream) {
	t.Helper()
	s := shared(t)
	cfg := prepare(t, s, configFor(t, s.url()))
	p, _ := connect(t, cfg)
	js := s.admin()
	update(t, js, cfg.StreamName, change)
	return p, cfg, js
}

func requireStored(t *testing.T, outcomes []relay.Outcome, places ...int) {
	t.Helper()
	for _, place := range places {
		require.True(t, outcomes[place].Stored, "outcome %d is %+v", place, outcomes[place])
	}
}

// A refusal for good in the middle costs its own event only, wherever it stands, and the call goes on.
func TestServerRefusesEventsInTheMiddleForGood(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		p, cfg, js := behind(t, prepare, func(c *streamConfig) { c.MaxMsgSize = 2000 })
		events := testEvents(cfg, 1000, 7)
		bad := map[int]bool{0: true, 1: true, 400: true, 998: true, 999: true}
		for i := range bad {
			events[i].Payload = bytes.Repeat([]byte("x"), 3000)
		}
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		var want []int64
		byServer := 0
		for i := range events {
			if !bad[i] {
				requireStored(t, outcomes, i)
				want = append(want, events[i].ID)
				continue
			}
			require.Equal(t, "permanent too_large", kind(outcomes[i].Err))
			if isAPI(outcomes[i].Err, 10054) {
				byServer++
			}
		}
		require.Positive(t, byServer, "the server refused the first")
		require.Less(t, byServer, len(bad), "and the limit was known for the last")
		require.ElementsMatch(t, want, storedIDs(t, js, cfg.StreamName))
	})
}

// A full subject delays its events and the later ones of their keys; other keys go on, in the same call.
func TestFullSubjectDelaysItsKeysOnly(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		p, cfg, js := behind(t, prepare, func(c *streamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true })
		events := testEvents(cfg, 6, 2) // player-0: 0 2 4, player-1: 1 3 5
		for i := range events {
			events[i].Subject += "." + strings.Repeat("x", i+1)
		}
		events[2].Subject = events[0].Subject
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 1, 3, 5)
		require.Equal(t, "throttled", kind(outcomes[2].Err))
		require.Zero(t, outcomes[4], "it may not overtake")
		stored := []int64{events[0].ID, events[1].ID, events[3].ID, events[5].ID}
		require.ElementsMatch(t, stored, storedIDs(t, js, cfg.StreamName))
	})
}

func TestFullStreamThrottles(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		p, cfg, js := behind(t, prepare, func(c *streamConfig) { c.MaxMsgs = 50 })
		events := testEvents(cfg, 100, 0)
		outcomes, err := p.Publish(t.Context(), events)
		require.Equal(t, "throttled", kind(err), "%v", err)
		stored := 0
		for _, outcome := range outcomes {
			if outcome.Stored {
				stored++
			}
		}
		require.Equal(t, 50, stored)
		require.Len(t, storedIDs(t, js, cfg.StreamName), 50)

		update(t, js, cfg.StreamName, func(c *streamConfig) { c.MaxMsgs = -1 })
		outcomes, err = p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 49, 50, 99)
		require.ElementsMatch(t, ids(events), storedIDs(t, js, cfg.StreamName), "each once")
	})
}

func TestSealedStreamIsMisconfigured(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		p, cfg, _ := behind(t, prepare, func(c *streamConfig) { c.Sealed = true })
		for range 2 {
			outcomes, err := p.Publish(t.Context(), testEvents(cfg, 20, 3))
			requireMisconfigured(t, err, "sealed", "mq.stream_name")
			require.Equal(t, make([]relay.Outcome, 20), outcomes)
		}
	})
}

// Fast ingest switched off behind the publisher's back: the same call goes on singly, and later calls know it.
func TestFastIngestIsSwitchedOff(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	p, logs := connect(t, cfg)
	update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.AllowBatchPublish = false })
	events := testEvents(cfg, 100, 7)
	outcomes, err := p.Publish(t.Context(), events[:50])
	require.NoError(t, err)
	requireStored(t, outcomes, 0, 49)
	outcomes, err = p.Publish(t.Context(), events[50:])
	require.NoError(t, err)
	requireStored(t, outcomes, 0, 49)
	require.NotZero(t, outcomes[0].Sequence, "singly, each place in the stream is known")
	require.Len(t, logged(logs, "fast ingest is refused; events go by keyed async until the next connection"), 1)
	require.ElementsMatch(t, ids(events), storedIDs(t, s.admin(), cfg.StreamName))
}

// The limits of a server's fast ingest are no reason to lose or to reorder anything.
func TestServerForgetsBatches(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	s.stop()
	s.options.JetStreamLimits.MaxBatchTimeout = 50 * time.Microsecond
	s.start()
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 2000, 7)
	require.Eventually(t, func() bool {
		outcomes, err := p.Publish(t.Context(), events)
		for i := range outcomes {
			require.NoError(t, outcomes[i].Err)
		}
		return err == nil && outcomes[1999].Stored
	}, patience, 10*time.Millisecond)
	require.Equal(t, ids(events), storedIDs(t, s.admin(), cfg.StreamName))
}

func TestTooManyOpenBatchesThrottle(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	s.stop()
	s.options.JetStreamLimits.MaxBatchInflightPerStream = 1
	s.start()
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	js := s.admin()
	// Somebody else's batch stays open.
	inbox := js.Conn().NewInbox()
	opened := make(chan struct{})
	_, err := js.Conn().Subscribe(inbox+".>", func(*natsMsg) { close(opened) })
	require.NoError(t, err)
	require.NoError(t, js.Conn().PublishRequest(testEvents(cfg, 1, 0)[0].Subject, inbox+".other.10.fail.1.0.$FI", nil))
	<-opened
	_, err = p.Publish(t.Context(), testEvents(cfg, 10, 2))
	require.Equal(t, "throttled", kind(err), "%v", err)
	require.True(t, isAPI(err, 10211), "%v", err)
}

// A subject that the stream does not capture delays its key, not the others, and the publisher
// notices when it is added.
func TestSubjectThatIsNotCaptured(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := shared(t)
		cfg := prepare(t, s, configFor(t, s.url()))
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 6, 2)
		lost := "elsewhere." + cfg.StreamName
		events[2].Subject = lost
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 1, 3, 5)
		requireMisconfigured(t, outcomes[2].Err, lost, cfg.StreamName, "nats stream edit")
		require.Zero(t, outcomes[4])

		update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.Subjects = append(c.Subjects, lost) })
		outcomes, err = p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 1, 2, 3, 4, 5)
	})
}

// Another stream that captures the subject must not get the event.
func TestSubjectThatAnotherStreamCaptures(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := shared(t)
		cfg := prepare(t, s, configFor(t, s.url()))
		other := cfg
		other.StreamName, other.Subjects = cfg.StreamName+"-other", []string{"other." + cfg.StreamName}
		_, err := s.admin().CreateStream(t.Context(), other.stream(true))
		require.NoError(t, err)
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 4, 2)
		events[1].Subject = other.Subjects[0]
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 2)
		requireMisconfigured(t, outcomes[1].Err, other.Subjects[0], cfg.StreamName)
		require.Empty(t, storedIDs(t, s.admin(), other.StreamName))
	})
}

// The limit of the stream is known, so the event is not sent.
func TestLargerThanTheStreamTakes(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	stream := cfg.stream(true)
	stream.MaxMsgSize = 2000
	_, err := s.admin().CreateStream(t.Context(), stream)
	require.NoError(t, err)
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 3, 1)
	_, overhead := wireSize(&relay.Event{ID: events[0].ID, Key: "player-0"})
	events[0].Payload = bytes.Repeat([]byte("x"), 2000-overhead)
	events[1].Payload = bytes.Repeat([]byte("x"), 2000-overhead+1)
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	requireStored(t, outcomes, 0, 2)
	require.Equal(t, "permanent too_large", kind(outcomes[1].Err))
	require.ErrorContains(t, outcomes[1].Err, "--max-msg-size")
	require.False(t, isAPI(outcomes[1].Err, 10054))

	// An operator does what the error says and retries. The relay inspects the stream before it publishes the event again.
	update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.MaxMsgSize = -1 })
	_, err = p.Inspect(t.Context())
	require.NoError(t, err)
	outcomes, err = p.Publish(t.Context(), events[1:2])
	require.NoError(t, err)
	requireStored(t, outcomes, 0)
}

// The same, when the publisher believes that the subject is captured.
func TestSubjectThatIsNoLongerCaptured(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := shared(t)
		cfg := configFor(t, s.url())
		cfg.Subjects = append(cfg.Subjects, "also."+cfg.StreamName)
		cfg = prepare(t, s, cfg)
		for _, place := range []int{0, 2, 5} {
			p, _ := connect(t, cfg)
			update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.Subjects = cfg.Subjects[:1] })
			events := testEvents(cfg, 6, 2)
			events[place].Subject = "also." + cfg.StreamName
			outcomes, err := p.Publish(t.Context(), events)
			require.NoError(t, err)
			requireMisconfigured(t, outcomes[place].Err, "also."+cfg.StreamName)
			for i := range events {
				if i < place || i%2 != place%2 {
					requireStored(t, outcomes, i)
				} else if i > place {
					require.Zero(t, outcomes[i])
				}
			}
			update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { c.Subjects = cfg.Subjects })
		}
	})
}

// With max_payload and a control line there is no second chance: the server closes the connection.
func TestWhatWouldCloseTheConnectionIsNotSent(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "max_payload: 5000")
		cfg := prepare(t, s, configFor(t, s.url()))
		p, logs := connect(t, cfg)
		events := testEvents(cfg, 8, 2)
		size := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
		_, overhead := wireSize(&relay.Event{ID: events[0].ID, Key: "player-0"})
		events[0].Payload = size(5000 - overhead)
		events[1].Payload = size(5000 - overhead + 1)
		events[2].Subject += "." + strings.Repeat("x", 5000)
		events[3].Payload, events[3].Headers = nil, map[string]string{"X": strings.Repeat("y", 70_000)}
		events[4].Subject += "." + strings.Repeat("x", 3700)
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 4, 5, 6, 7)
		require.Equal(t, "permanent too_large", kind(outcomes[1].Err))
		require.Equal(t, "permanent bad_subject", kind(outcomes[2].Err))
		require.Equal(t, "permanent too_large", kind(outcomes[3].Err))
		require.Len(t, logged(logs, connectedText), 1, "the connection lives")
	})
}

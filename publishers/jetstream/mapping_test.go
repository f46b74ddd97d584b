package jetstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// mapped starts a server whose account takes game.x.lost.* to lost.*, and returns settings for a stream on game.>.
func mapped(t *testing.T, fast bool) (*testServer, Config) {
	t.Helper()
	s := startServer(t, `mappings: { "game.x.lost.*": "lost.{{wildcard(1)}}" }`)
	cfg := configFor(t, s.url()).withSubjects("game.>")
	_, err := s.admin().CreateStream(t.Context(), cfg.stream(fast))
	require.NoError(t, err)
	return s, cfg
}

// lostAt returns events of two keys and none, of which those at the given places have a mapped subject.
func lostAt(cfg Config, n int, places ...int) []relay.Event {
	events := testEvents(cfg, n, 0)
	for place, i := range places {
		events[i].Subject = fmt.Sprintf("game.x.lost.%d", place)
	}
	return events
}

// A subject that the account takes to nobody delays its events alone: the stream has a leader.
func TestSubjectThatIsMappedToNobody(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		for _, places := range [][]int{{0}, {3}, {9}, {2, 3, 4, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
			t.Run(fmt.Sprint(fast, places), func(t *testing.T) {
				t.Parallel()
				_, cfg := mapped(t, fast)
				p, _ := connect(t, cfg)
				requireLost(t, p, lostAt(cfg, 10, places...), places, "captures it and has a leader", "mapping")
			})
		}
	}
}

// So does one that the account takes to another stream.
func TestSubjectThatIsMappedToAnotherStream(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		for _, batched := range []bool{true, false} { // of the other stream
			for _, places := range [][]int{{0}, {3}, {9}, {2, 3, 4, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
				t.Run(fmt.Sprint(fast, batched, places), func(t *testing.T) {
					t.Parallel()
					s, cfg := mapped(t, fast)
					other := cfg.withSubjects("lost.>")
					other.StreamName = "other"
					_, err := s.admin().CreateStream(t.Context(), other.stream(batched))
					require.NoError(t, err)
					p, _ := connect(t, cfg)
					eventually(t, p, lostAt(cfg, 10)) // what follows is believed because of it
					requireLost(t, p, lostAt(cfg, 10, places...), places, `stream "other" stored`, "mapping")
				})
			}
		}
	}
}

// requireLost publishes events of which those at some places reach no stream, or another one.
func requireLost(t *testing.T, p *Publisher, events []relay.Event, places []int, words ...string) {
	t.Helper()
	lost := map[int]bool{}
	for _, i := range places {
		lost[i] = true
	}
	outcomes, err := p.Publish(t.Context(), events)
	require.NoError(t, err)
	for i := range events {
		if lost[i] {
			requireMisconfigured(t, outcomes[i].Err, append(words, events[i].Subject)...)
			require.NotErrorIs(t, outcomes[i].Err, relay.ErrUnavailable)
			continue
		}
		requireStored(t, outcomes, i)
	}
}

// Events behind one of their key wait, in order, and go out once the mapping is gone.
func TestAMappingHoldsItsKeyUntilItIsGone(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		s, cfg := mapped(t, fast)
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 6, 2)
		events[2].Subject = "game.x.lost.a"
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		requireStored(t, outcomes, 0, 1, 3, 5)
		require.Equal(t, "misconfigured", kind(outcomes[2].Err))
		require.Zero(t, outcomes[4])

		s.running.GlobalAccount().RemoveMapping("game.x.lost.*")
		require.Eventually(t, func() bool {
			outcomes, err := p.Publish(t.Context(), events)
			return err == nil && outcomes[2].Stored && outcomes[4].Stored
		}, patience, 20*time.Millisecond)
	}
}

// Many events of a subject that leads nowhere cost each a try, not a pause.
func TestManyMappedEventsAreQuick(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		_, cfg := mapped(t, fast)
		p, _ := connect(t, cfg)
		events := testEvents(cfg, 2000, 0)
		for i := range events {
			if i%2 == 0 {
				events[i].Subject = fmt.Sprintf("game.x.lost.%d", i)
			}
		}
		began := time.Now()
		outcomes, err := p.Publish(t.Context(), events)
		require.NoError(t, err)
		require.Less(t, time.Since(began), patience/2)
		for i := range events {
			require.Equal(t, i%2 == 1, outcomes[i].Stored)
		}
	}
}

// What a call learned of the stream before does not make a subject that leads nowhere an outage.
func TestAMappedSubjectAfterTheStreamWasLookedAtAgain(t *testing.T) {
	t.Parallel()
	for _, fast := range []bool{true, false} {
		for name, prepare := range map[string]func(cfg *streamConfig, first *relay.Event){
			"a subject was added": func(cfg *streamConfig, first *relay.Event) {
				cfg.Subjects, first.Subject = append(cfg.Subjects, "also.>"), "also.here"
			},
			"a limit was lowered": func(cfg *streamConfig, first *relay.Event) {
				cfg.MaxMsgSize, first.Payload = 1000, make([]byte, 2000)
			},
		} {
			t.Run(fmt.Sprint(name, fast), func(t *testing.T) {
				t.Parallel()
				s, cfg := mapped(t, fast)
				p, _ := connect(t, cfg)
				eventually(t, p, testEvents(cfg, 10, 0))
				events := lostAt(cfg, 10, 5, 6)
				update(t, s.admin(), cfg.StreamName, func(c *streamConfig) { prepare(c, &events[0]) })
				outcomes, err := p.Publish(t.Context(), events)
				require.NoError(t, err)
				requireMisconfigured(t, outcomes[5].Err, "captures it and has a leader", "mapping")
				requireStored(t, outcomes, 1, 2, 3, 4, 7, 8, 9)
			})
		}
	}
}

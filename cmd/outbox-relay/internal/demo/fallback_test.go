package demo

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/broker"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/game"
)

// inRedis is an event as the consumer of Redis gets it.
func inRedis(t *testing.T, e game.LevelUp) broker.Delivery {
	t.Helper()
	data, err := json.Marshal(e)
	require.NoError(t, err)
	return broker.Delivery{EventID: e.ID.String(), Key: e.EventKey(), Subject: e.EventName(), Data: data}
}

func TestWhatRedisMustNotHaveIsFound(t *testing.T) {
	t.Parallel()
	first, second, other := event(1, 1), event(1, 2), event(2, 7)
	rolledBack := event(3, 1)
	committed := func(id account.ID) bool { return id != account.ID(rolledBack.ID) }
	for name, c := range map[string]struct {
		got  []broker.Delivery
		want []string
	}{
		"nothing":  {},
		"in order": {got: []broker.Delivery{inRedis(t, first), inRedis(t, other), inRedis(t, second)}},
		"twice":    {[]broker.Delivery{inRedis(t, first), inRedis(t, first)}, []string{"1 events in Redis twice"}},
		"late":     {[]broker.Delivery{inRedis(t, second), inRedis(t, first)}, []string{"1 events in Redis behind a later one of the same player"}},
		"leaked":   {[]broker.Delivery{inRedis(t, rolledBack)}, []string{"1 events in Redis that were never committed"}},
	} {
		s := newStandIn()
		for _, got := range c.got {
			s.receive(got)
		}
		assert.Equal(t, c.want, s.faults(committed), name)
		_, balanced := s.verdict(committed)
		assert.Equal(t, c.want == nil, balanced, name)
	}
	s := newStandIn()
	s.receive(broker.Delivery{EventID: "x", Data: []byte("nothing")})
	assert.Contains(t, s.faults(committed), "1 events in Redis that nobody can read")
}

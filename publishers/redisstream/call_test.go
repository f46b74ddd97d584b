package redisstream

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// newTestCall is a call without a server.
func newTestCall(t *testing.T, events []relay.Event) *call {
	t.Helper()
	cfg := DefaultConfig()
	s := open(cfg, zap.NewNop(), "test")
	t.Cleanup(func() { require.NoError(t, s.close()) })
	return newCall(s, &baseline{}, events, make([]relay.Outcome, len(events)))
}

// refuse makes the server refuse the first event that is left, for a reason that nobody knows.
func refuse(t *testing.T, c *call) error {
	t.Helper()
	parts, _ := c.split(0)
	replies := []reply{{failure: "ERR something new"}}
	c.take(parts, replies)
	return c.refused(t.Context(), nil, nil, parts, replies, newServerError("ERR something new"))
}

// An unknown refusal is the event's own. Its key waits, and the others go on.
func TestUnknownRefusalHoldsTheKey(t *testing.T) {
	t.Parallel()
	events := testEvents(6, 3)
	c := newTestCall(t, events)
	c.session.fit.Store(true)
	require.NoError(t, refuse(t, c))
	require.Equal(t, "retry", kind(c.outcomes[0].Err))
	parts, _ := c.split(0)
	require.Equal(t, []part{{1, 2, 4, 5}}, parts, "event 3 has the key of event 0")
	require.False(t, c.session.fit.Load(), "the server is looked at before the next call")
}

// A server that refuses one event after the other is at fault itself; the rest of the batch does not pay for it.
func TestManyRefusalsEndTheCall(t *testing.T) {
	t.Parallel()
	c := newTestCall(t, testEvents(100, 0))
	for range maxRefusals {
		require.NoError(t, refuse(t, c))
	}
	err := refuse(t, c)
	require.Equal(t, "retry", kind(err))
	require.Zero(t, c.outcomes[maxRefusals])
}

func TestSplit(t *testing.T) {
	t.Parallel()
	events := testEvents(partEvents*windowParts+1, 0)
	c := newTestCall(t, events)
	parts, to := c.split(0)
	require.Len(t, parts, windowParts)
	require.Len(t, parts[windowParts-1], partEvents)
	require.Equal(t, partEvents*windowParts, to)
	parts, to = c.split(to)
	require.Equal(t, []part{{partEvents * windowParts}}, parts)
	require.Equal(t, len(events), to)
	parts, _ = c.split(to)
	require.Empty(t, parts)

	large := testEvents(5, 0)
	for i := range large {
		large[i].Payload = make([]byte, partBytes/2-1000)
	}
	large[2].Payload = make([]byte, 2*partBytes)
	parts, _ = newTestCall(t, large).split(0)
	require.Equal(t, []part{{0, 1}, {2}, {3, 4}}, parts)
}

// The library notes some errors in no command. A command without an answer never looks like one that was answered.
func TestAnswersAreCounted(t *testing.T) {
	t.Parallel()
	parts := []part{{0, 1}}
	for _, text := range []string{"", "1-0", "1-0 1-1 1-2"} {
		cmd := redis.NewStringCmd(t.Context(), "EVALSHA")
		cmd.SetVal(text)
		_, _, err := read(parts, []*redis.StringCmd{cmd}, nil)
		require.ErrorIs(t, err, errReply, text)
	}
	cmd := redis.NewStringCmd(t.Context(), "EVALSHA")
	cause := fmt.Errorf("wrapped: %w", redis.Nil)
	require.ErrorIs(t, lost(cause, []*redis.StringCmd{cmd}, wait{}), redis.Nil)
	replies, refusal, err := read(parts, []*redis.StringCmd{cmd}, cause)
	require.Empty(t, replies)
	require.Nil(t, refusal)
	require.ErrorIs(t, err, redis.Nil)
}

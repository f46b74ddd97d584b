package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecentKnowsTheLatestIDs(t *testing.T) {
	t.Parallel()
	r := NewRecent(2)
	failure := errors.New("on purpose")
	_, err := r.Once("a", func() error { return failure })
	require.ErrorIs(t, err, failure)
	for _, c := range []struct {
		id    string
		isNew bool
	}{
		{"a", true}, {"a", false}, {"b", true}, {"a", false}, {"c", true}, {"b", false}, {"c", false}, {"a", true},
	} {
		isNew, err := r.Once(c.id, func() error { return nil })
		require.NoError(t, err)
		require.Equal(t, c.isNew, isNew, c.id)
	}
}

func TestThePrinterPrintsOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &Printer{Recent: NewRecent(10), out: &out}
	for range 2 {
		_, err := p.Handle(t.Context(), Event{ID: "a", Seq: 7, Subject: "game.x", Key: "k", Payload: []byte("{}")})
		require.NoError(t, err)
	}
	require.Equal(t, "7 game.x k {}\n", out.String())
}

func TestWhatIsNoEventOfTheRelays(t *testing.T) {
	t.Parallel()
	good := map[string]any{
		"event_id": "e", "subject": "game.x", "key": "", "headers": `{"tenant":"eu"}`, "payload": "x",
		"created_at": "2026-03-01T10:00:00.000001Z", "seq": "7",
	}
	e, err := fromRedis(good)
	require.NoError(t, err)
	require.Equal(t, "eu", e.Headers["tenant"])
	require.EqualValues(t, 7, e.Seq)
	require.Equal(t, 1000, e.CreatedAt.Nanosecond())
	for name, value := range map[string]string{"event_id": "", "headers": "x", "seq": "x", "created_at": "x"} {
		bad := map[string]any{}
		for field := range good {
			bad[field] = good[field]
		}
		bad[name] = value
		_, err := fromRedis(bad)
		require.ErrorIs(t, err, errForeign, name)
	}
}

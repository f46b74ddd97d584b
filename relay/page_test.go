package relay

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSlabs keeps many values of all sizes and looks at them when all are kept: none may have run into another.
func TestSlabs(t *testing.T) {
	t.Parallel()
	texts, payloads := &textSlab{}, &byteSlab{}
	sizes := []int{0, 1, slabMin - 1, slabMin, slabMin + 1, 7, slabMax - 1, slabMax, slabMax + 1, 0, 3}
	var keptTexts []string
	var keptPayloads [][]byte
	value := func(n int) []byte { return bytes.Repeat([]byte{'a' + byte(n%26)}, sizes[n%len(sizes)]) }
	scratch := make([]byte, 0, 2*slabMax) // as pgx, which uses its memory again for the next row
	for n := range 40 {
		scratch = append(scratch[:0], value(n)...)
		keptTexts, keptPayloads = append(keptTexts, texts.add(scratch)), append(keptPayloads, payloads.add(scratch))
	}
	for n := range keptTexts {
		require.Equal(t, string(value(n)), keptTexts[n])
		require.True(t, bytes.Equal(value(n), keptPayloads[n]), "payload %d", n)
		require.NotNil(t, keptPayloads[n], "an empty payload is not a missing one")
		require.Equal(t, len(keptPayloads[n]), cap(keptPayloads[n]), "who appends to one must not write into the next")
	}
}

// TestAFewEventsTakeLittleMemory looks at what a quiet outbox allocates for each event.
func TestAFewEventsTakeLittleMemory(t *testing.T) {
	t.Parallel()
	texts := &textSlab{}
	texts.add([]byte(strings.Repeat("x", 20)))
	require.LessOrEqual(t, texts.text.Cap(), 2*slabMin)
}

func TestAPageKeepsEventsWithBrokenHeaders(t *testing.T) {
	t.Parallel()
	var p page
	r := newRow()
	for id, headers := range []string{`{"a":"1"}`, "", `{"a":1}`, "[]", `{"b":"2"}`} {
		r.event.ID = int64(id)
		require.NoError(t, r.headers.ScanBytes([]byte(headers)))
		p.add(r)
	}
	require.Len(t, p.events, 5)
	require.Equal(t, map[string]string{"a": "1"}, p.events[0].Headers)
	require.Nil(t, p.events[1].Headers)
	require.Equal(t, map[string]string{"b": "2"}, p.events[4].Headers, "no header of another event")
	require.Len(t, p.broken, 2)
	require.ErrorContains(t, p.broken[2], "not an object of strings")
	require.Equal(t, ReasonBadHeader, p.broken[2].Reason)
	require.Contains(t, p.broken, int64(3))
}

func TestAPageIsCutBeforeAnID(t *testing.T) {
	t.Parallel()
	p := page{events: []Event{{ID: 3, Payload: make([]byte, 5)}, {ID: 7, Payload: make([]byte, 9)}, {ID: 8}}, bytes: 14}
	for id, want := range map[int64]int{0: 0, 3: 0, 4: 1, 7: 1, 8: 2, 9: 3} {
		before, rest := p.cutBefore(id)
		require.Len(t, before.events, want, "before id %d", id)
		require.Len(t, rest.events, len(p.events)-want)
		require.Equal(t, p.bytes, before.bytes+rest.bytes)
		for _, event := range before.events {
			require.Less(t, event.ID, id)
		}
	}
	before, rest := p.cutBefore(7)
	require.Equal(t, 5, before.bytes)
	_ = append(before.events, Event{ID: 1})
	require.EqualValues(t, 7, rest.events[0].ID, "who appends to one must not write into the other")
}

func TestLimitsFollowTheSizeOfEvents(t *testing.T) {
	t.Parallel()
	most := limits{events: 16_384, bytes: 4 << 20}
	large := page{events: make([]Event, 23), bytes: 4 << 20, omitted: true}
	l := most.after(large, most)
	require.Equal(t, limits{events: 46, bytes: 4 << 20}, l, "the server measures no more rows than that")
	l = l.after(page{events: make([]Event, 46)}, most)
	require.Equal(t, 184, l.events)
	for range 9 {
		l = l.after(page{}, most)
	}
	require.Equal(t, most, l)
}

func TestMergingPagesLeavesTheirPartsAlone(t *testing.T) {
	t.Parallel()
	broken := &PermanentError{Reason: ReasonBadHeader}
	fresh := page{events: []Event{{ID: 3}, {ID: 9}}, broken: map[int64]*PermanentError{3: broken, 9: broken}}
	before, rest := fresh.cutBefore(9)
	done := make(chan bool)
	first := merge(page{events: []Event{{ID: 1}}}, before)
	go func() { // as the publish loop does, while the reader goes on
		defer close(done)
		for range 1000 {
			_ = first.broken[3]
		}
	}()
	for range 1000 {
		second := merge(page{events: []Event{{ID: 5}}}, rest)
		require.Contains(t, second.broken, int64(9))
	}
	<-done
}

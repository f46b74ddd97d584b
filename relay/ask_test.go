package relay

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	testEvents = 16384
	testBytes  = 4 << 20
)

var testLimits = limits{events: testEvents, bytes: testBytes}

// given is the page that a table of endless events gives to an ask; the n-th of them has a payload of size(n) bytes.
func given(a ask, size func(n int) int, from int) page {
	var p page
	for n := from; len(p.events) < a.events; n++ {
		bytes := size(n)
		switch {
		case a.payload > 0 && bytes > a.payload:
			p.omitted = true
			return p
		case a.payload == 0 && p.bytes >= testBytes:
			return p
		}
		p.events = append(p.events, Event{})
		p.bytes, p.largest = p.bytes+bytes, max(p.largest, bytes)
	}
	return p
}

// follow asks so many times, and returns what was asked for. No answer may hold more than one event more than the bytes.
func follow(t *testing.T, a ask, reads int, size func(n int) int) (asked []ask) {
	t.Helper()
	from := 0
	for range reads {
		p := given(a, size, from)
		largest := max(p.largest, 1)
		require.Less(t, p.bytes, testBytes+largest)
		require.True(t, a.payload > 0 || len(p.events) > 0, "a measured read goes on")
		from += len(p.events)
		a = a.next(p, testLimits)
		asked = append(asked, a)
	}
	return asked
}

func always(bytes int) func(int) int { return func(int) int { return bytes } }

// TestHowMuchTheNextReadAsksFor follows the reads of a backlog.
func TestHowMuchTheNextReadAsksFor(t *testing.T) {
	t.Parallel()
	first := firstAsk(testLimits)
	require.Equal(t, ask{1024, 4096}, first)
	require.Equal(t, []ask{{4096, 1024}, {testEvents, 256}, {testEvents, 256}}, follow(t, first, 3, always(100)))
	require.Equal(t, []ask{{4096, 1024}, {testEvents, 256}}, follow(t, first, 2, always(0)))
	require.Equal(t, []ask{{4096, 1024}, {8192, 512}, {8192, 512}}, follow(t, first, 3, always(257)))
	require.Equal(t, []ask{{4096, 1024}, {4096, 1024}}, follow(t, first, 2, always(1<<10)))
	require.Equal(t, []ask{{1024, 0}, {256, 16 << 10}, {256, 16 << 10}}, follow(t, first, 3, always(16<<10)))
	require.Equal(t, []ask{{1024, 0}, {2, 0}, {2, 0}}, follow(t, first, 3, always(5<<20)), "each is more than the bytes")
}

// TestFewLargeEvents follows the reads of a backlog where one payload of some is large: they are measured, and many come at once.
func TestFewLargeEvents(t *testing.T) {
	t.Parallel()
	often := func(n int) int {
		if n%10 == 9 {
			return 64 << 10
		}
		return 256
	}
	for _, a := range follow(t, firstAsk(testLimits), 10, often) {
		require.Zero(t, a.payload)
		require.Greater(t, a.events, 500)
	}
	seldom := func(n int) int {
		if n%50_000 == 49_999 {
			return 64 << 10
		}
		return 256
	}
	measured := 0
	asked := follow(t, firstAsk(testLimits), 100, seldom)
	for _, a := range asked {
		measured += count(a.payload == 0)
	}
	require.Equal(t, ask{testEvents, 256}, asked[len(asked)-1])
	require.Less(t, measured, 50)
}

// TestAfterTheEndOfABacklog looks at what is asked for when there was little: the first events do not wait for the last.
func TestAfterTheEndOfABacklog(t *testing.T) {
	t.Parallel()
	few := page{events: make([]Event, 3), bytes: 300, largest: 100}
	require.Equal(t, ask{1024, 4096}, ask{testEvents, 256}.next(few, testLimits))
	require.Equal(t, ask{1024, 4096}, ask{testEvents, 256}.next(page{}, testLimits))
	require.Equal(t, ask{1024, 0}, ask{testEvents, 0}.next(page{}, testLimits), "the next may be as large as the last")
	large := page{events: make([]Event, 1), bytes: 5000, largest: 5000}
	require.Equal(t, ask{512, 8192}, ask{1024, 0}.next(large, testLimits))
	require.Equal(t, ask{2, 0}, ask{2, 64 << 10}.next(page{omitted: true}, limits{events: 2, bytes: 128 << 10}))
	require.Equal(t, ask{2, 64 << 10}, firstAsk(limits{events: 2, bytes: 128 << 10}))
}

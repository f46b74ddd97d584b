package verify

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// openWalk returns a walk in which one receipt is open that covers the ids 1 to n, of one key.
func openWalk(n int64) (w *walk, findings *[]Finding) {
	findings = new([]Finding)
	w = &walk{
		rows: make(map[identity]*row), order: newOrder(), strays: newStrayFinder(store{}), report: new(Report),
		found: func(f Finding) { *findings = append(*findings, f) },
	}
	opened := window{receipt: 7, first: 1, last: 100}
	for id := int64(1); id <= n; id++ {
		r := &row{identity: identity{id: id, eventID: outbox.ID{byte(id)}}, content: contentOf(stored(id, 0)), selected: true}
		opened.rows = append(opened.rows, r)
		w.rows[r.identity] = r
	}
	w.open = append(w.open, opened)
	return w, findings
}

func stored(id int64, sequence uint64) relay.StoredEvent {
	return relay.StoredEvent{Sequence: sequence, ID: id, EventID: outbox.ID{byte(id)}, Subject: "game.x", Key: "k"}
}

func TestWalkMatchesMessagesWithRows(t *testing.T) {
	t.Parallel()
	w, findings := openWalk(6)
	w.rows[identity{id: 6, eventID: outbox.ID{6}}].selected = false
	for i, id := range []int64{1, 3, 2, 3, 3, 6} {
		require.NoError(t, w.take(t.Context(), stored(id, uint64(10+i))))
	}
	altered := stored(5, 20)
	altered.Payload = []byte("x")
	require.NoError(t, w.take(t.Context(), altered))
	require.NoError(t, w.take(t.Context(), stored(99, 21)), "it matches no row")

	require.Equal(t, []Finding{
		{Kind: OutOfOrder, ID: 2, EventID: outbox.ID{2}, Subject: "game.x", Key: "k", Sequences: []uint64{12}, Detail: "behind id 3 of its key"},
		{Kind: Duplicated, ID: 3, EventID: outbox.ID{3}, Subject: "game.x", Key: "k", Sequences: []uint64{11, 13}},
		{Kind: Altered, ID: 5, EventID: outbox.ID{5}, Subject: "game.x", Key: "k", Sequences: []uint64{20}, Detail: "payload differs"},
	}, *findings)
	require.EqualValues(t, 4, w.report.Events)
	require.Len(t, w.strays.pending, 1)

	w.close(100)
	require.Empty(t, w.unfound, "it goes on to sequence 100")
	w.close(101)
	require.Equal(t, []unfound{{receipt: 7, ids: []span{{4, 4}}}}, w.unfound)
	require.Empty(t, w.rows)
	require.Empty(t, w.open)
}

func TestWalkLeavesARowThatTwoReceiptsCoverToTheFirst(t *testing.T) {
	t.Parallel()
	w, _ := openWalk(1)
	w.open = append(w.open, window{receipt: 8, last: 50, rows: []*row{{identity: identity{id: 1, eventID: outbox.ID{1}}, selected: true}}})
	require.NoError(t, w.take(t.Context(), stored(1, 1)))
	w.close(200)
	require.Empty(t, w.unfound)
}

func TestTailLooksOnlyForOpenRows(t *testing.T) {
	t.Parallel()
	w, _ := openWalk(1)
	w.tail = true
	require.NoError(t, w.take(t.Context(), stored(9, 30)))
	require.Empty(t, w.strays.pending)
}

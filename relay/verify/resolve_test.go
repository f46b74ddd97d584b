package verify

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

func TestWhatAStreamRemovesByItself(t *testing.T) {
	t.Parallel()
	hourAgo := time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		state relay.StreamState
		s     suspect
		want  bool
		kept  uint64 // 9 if it is not set
	}{
		"no setting":                 {relay.StreamState{First: 9}, suspect{first: 1, firstSettled: hourAgo}, false, 0},
		"a limit, at the beginning":  {relay.StreamState{First: 9, Expires: "max_msgs"}, suspect{first: 8}, true, 0},
		"a limit, further on":        {relay.StreamState{First: 9, Expires: "max_msgs"}, suspect{first: 9}, false, 0},
		"a limit, anywhere":          {relay.StreamState{First: 9, Expires: "consumers", Anywhere: true}, suspect{first: 9}, true, 0},
		"too old":                    {relay.StreamState{First: 9, MaxAge: time.Hour}, suspect{first: 1, firstSettled: hourAgo}, true, 0},
		"too old, of another stream": {relay.StreamState{First: 9, MaxAge: time.Hour}, suspect{firstSettled: hourAgo}, true, 0},
		"young":                      {relay.StreamState{First: 9, MaxAge: 2 * time.Hour}, suspect{first: 1, firstSettled: hourAgo}, false, 0},
		"a limit, of another stream": {relay.StreamState{First: 9, Expires: "max_msgs"}, suspect{firstSettled: hourAgo}, false, 0},
		"a limit, not reached yet":   {relay.StreamState{First: 9, Expires: "max_msgs"}, suspect{first: 8}, false, 3},
		"a limit, reached before":    {relay.StreamState{First: 9, Expires: "max_msgs"}, suspect{first: 2}, true, 3},
	} {
		r := &run{state: tc.state, kept: cmp.Or(tc.kept, 9)}
		require.Equal(t, tc.want, r.expired(tc.s), name)
	}
}

// shelf is a ledger that holds some events.
type shelf []relay.StoredEvent

func (shelf) Inspect(context.Context) (relay.StreamState, error) { return relay.StreamState{}, nil }
func (shelf) Accept(relay.StreamState)                           {}
func (s shelf) Scan(_ context.Context, part relay.Scan, found func(relay.StoredEvent) error) error {
	for _, event := range s {
		if event.Sequence < part.First || event.Sequence > part.Last || event.StoredAt.Before(part.Since) {
			continue
		}
		if err := found(event); err != nil {
			return err
		}
	}
	return nil
}

func TestLook(t *testing.T) {
	t.Parallel()
	now := time.Now()
	event := func(id int64, eventID byte, sequence uint64) relay.StoredEvent {
		return relay.StoredEvent{ID: id, EventID: outbox.ID{eventID}, Sequence: sequence, StoredAt: now}
	}
	ledger := shelf{event(1, 1, 3), event(2, 20, 4), event(30, 3, 5), event(5, 5, 6), event(6, 6, 7), event(6, 6, 8)}
	l := newLook(ledger, relay.StreamState{First: 3, Last: 8})
	for id := byte(1); id <= 4; id++ {
		l.expect(suspect{identity: identity{int64(id), outbox.ID{id}}, created: now, firstSettled: now})
	}
	for id := byte(5); id <= 6; id++ {
		of := identity{int64(id), outbox.ID{id}}
		l.expectOnce([]stray{{message: message{identity: of}, row: row{identity: of}, created: now}})
	}
	require.NoError(t, l.run(t.Context(), func(Progress) {}))
	for id, want := range map[byte][]uint64{1: {3}, 2: nil, 3: {5}, 4: nil} {
		require.Equal(t, want, l.absent[outbox.ID{id}].sequences, id)
	}
	require.Equal(t, map[int64]uint64{2: 4}, l.impostors, "a message has the number of 2 and another event id")
	require.Equal(t, []Finding{{Kind: Duplicated, ID: 6, EventID: outbox.ID{6}, Sequences: []uint64{7, 8}}}, l.twice())
}

func TestWhatIsMissingIsRememberedByReceipt(t *testing.T) {
	t.Parallel()
	r := &run{report: new(Report)}
	r.opts.Found = func(Finding) {}
	for _, each := range []struct{ receipt, id int64 }{{1, 4}, {1, 5}, {1, 9}, {2, 10}} {
		r.lose(suspect{identity: identity{id: each.id}, receipt: each.receipt})
	}
	require.Equal(t, []lostSpan{{receipt: 1, ids: []span{{4, 5}, {9, 9}}}, {receipt: 2, ids: []span{{10, 10}}}}, r.report.lost)
	require.EqualValues(t, 4, count(r.report.lost))
	require.EqualValues(t, 4, r.report.Missing)
	require.Zero(t, r.report.Doubtful)
}

func TestWhatALimitMayHaveRemovedIsDoubtful(t *testing.T) {
	t.Parallel()
	var findings []Finding
	r := &run{report: new(Report), kept: 5}
	r.opts.Found = func(f Finding) { findings = append(findings, f) }
	for id, first := range []uint64{4, 5, 0} {
		r.lose(suspect{identity: identity{id: int64(id)}, first: first})
	}
	require.EqualValues(t, 3, r.report.Missing)
	require.EqualValues(t, 1, r.report.Doubtful)
	require.Contains(t, findings[0].Detail, "a limit of the stream, or a consumer,")
	require.Empty(t, findings[1].Detail+findings[2].Detail)
}

package jetstream

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// scripted is a batch of n events that were all sent, to which a test gives the server's answers.
func scripted(n int) *batch {
	b := &batch{id: "b", prefix: "inbox.b.500.fail.", sent: n, todo: make([]int, n)}
	l := &link{session: &session{log: zap.NewNop()}, target: &target{stream: "S"}}
	l.cfg.PublishTimeout = time.Hour
	b.call = newCall(context.Background(), l, make([]relay.Event, n), make([]relay.Outcome, n))
	b.call.ceiling, b.call.looked = 1<<20, time.Now() // the stream is not looked at
	for i := range n {
		b.todo[i] = i
		b.call.sizes[i] = 10
		b.bytes += 10
	}
	return b
}

func (b *batch) answer(place, data string) {
	b.take(&nats.Msg{Subject: b.prefix + place + ".1.$FI", Data: []byte(data)})
}

// A stream skips what it knows, and a replicated one acknowledges, inside a batch, a duplicate that is
// only in flight. So nothing counts unless the stream has grown by the batch.
func TestAcknowledgementsInsideABatchAreNotBelievedBlindly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		end    string
		stored int
		fresh  bool
		singly bool
		shared bool
	}{
		{"no end", "", 0, true, true, false},
		{"whole batch", `{"stream":"S","seq":9000,"batch":"b","count":1000}`, 1000, true, false, false},
		{"cut off", `{"stream":"S","seq":8700,"batch":"b","count":700}`, 700, true, false, false},
		{"one was skipped", `{"stream":"S","seq":8999,"batch":"b","count":1000}`, 1000, false, false, false},
		{"another event is there", `{"stream":"S","seq":9001,"batch":"b","count":1000}`, 1000, false, false, true},
		{"the stream is an older one", `{"stream":"S","seq":1000,"batch":"b","count":1000}`, 1000, false, false, false},
		{"only duplicates", `{"stream":"S","seq":0,"batch":"b","count":1000}`, 1000, false, false, false},
		{"nothing stored", `{"stream":"S","seq":0,"batch":"b","count":0}`, 500, false, false, false},
	} {
		b := scripted(1000)
		b.end = 8000
		session := b.call.link.session
		b.answer("1", `{"type":"ack","seq":0,"msgs":500}`)
		b.answer("500", `{"type":"ack","seq":500,"msgs":500}`)
		require.False(t, b.over(), test.name)
		if test.end != "" {
			b.answer("1000", test.end)
			require.True(t, b.over(), test.name)
		}
		stored, fresh := b.proven()
		require.Equal(t, test.stored, stored, test.name)
		require.Equal(t, test.fresh, fresh, test.name)
		require.Equal(t, test.shared, session.isShared(), test.name)
		require.Equal(t, test.singly, session.singly, test.name)
	}
}

// A refused place is never acknowledged, whatever the server says later.
func TestARefusedPlaceIsNeverAcknowledged(t *testing.T) {
	t.Parallel()
	b := scripted(10)
	b.answer("4", `{"type":"err","seq":4,"error":{"code":400,"err_code":10060}}`)
	b.answer("9", `{"type":"ack","seq":9,"msgs":1}`)
	require.Equal(t, 3, b.acked)
	require.Equal(t, 70, b.bytes)
	b.answer("10", `{"stream":"S","seq":20,"batch":"b","count":10}`)
	stored, _ := b.proven()
	require.Equal(t, 3, stored)
	require.Equal(t, 4, b.refusedAt)
}

func TestAnswersThatDoNotBelongToTheBatch(t *testing.T) {
	t.Parallel()
	b := scripted(10)
	b.take(&nats.Msg{Subject: "inbox.other.500.fail.10.2.$FI", Data: []byte(`{"stream":"S","seq":20,"batch":"other","count":10}`)})
	b.take(&nats.Msg{Subject: "inbox.7.3", Data: []byte(`{"stream":"S","seq":20}`)})
	require.Zero(t, b.acked)
	require.False(t, b.over())
	b.answer("10", `{"type":"ack","seq":4000000000,"msgs":1}`)
	require.Zero(t, b.acked, "more than was sent")
	b.answer("10", `{"type":"ack","seq":10,"msgs":1}`)
	require.Equal(t, 10, b.acked)
}

// A server that stores the events one by one does not know what a batch is, and leaves holes.
func TestAServerThatKnowsNoBatches(t *testing.T) {
	t.Parallel()
	b := scripted(10)
	b.answer("1", `{"stream":"S","seq":20}`)
	require.ErrorIs(t, b.err, errNotBatched)
	require.Zero(t, b.acked)
	b = scripted(10)
	b.answer("1", `{"stream":"T","seq":20}`)
	require.ErrorIs(t, b.err, errOthers)
	b = scripted(10)
	b.answer("1", `{}`)
	require.False(t, b.over(), "no word of any server")
}

func TestFlowKeepsAcknowledgementsInsideTheWindow(t *testing.T) {
	t.Parallel()
	for size, flow := range map[int]int{0: 500, 300: 500, 1 << 20: 8, 6 << 20: 1, 64 << 20: 1} {
		b := scripted(3)
		b.call.sizes[1] = size
		require.Equal(t, flow, b.flow(), size)
	}
}

func TestTheWindowIsNotExceeded(t *testing.T) {
	t.Parallel()
	b := scripted(windowEvents + 1)
	b.sent, b.bytes = windowEvents-1, 0
	require.True(t, b.maySend())
	b.sent = windowEvents
	require.False(t, b.maySend())
	b.acknowledged(1)
	b.bytes = 0
	require.True(t, b.maySend())
	b.bytes = windowBytes
	require.False(t, b.maySend())
}

// The last event gets lost on its way, as at a change of leader. That is found out long before the
// timeout, and no subscriber sees anything but events.
func TestALostEventIsFoundOutByAsking(t *testing.T) {
	t.Parallel()
	s := shared(t)
	cfg := configFor(t, s.url())
	cfg.PublishTimeout = 20 * time.Second
	p, _ := connect(t, cfg)
	l, err := p.ready(t.Context())
	require.NoError(t, err)
	events := testEvents(cfg, 5, 1)
	c := newCall(t.Context(), l, events, make([]relay.Outcome, 5))
	b := &batch{call: c, todo: []int{0, 1, 2, 3, 4}, progress: time.Now(), id: "lost", prefix: l.inbox + ".lost.500.fail."}
	for range 4 {
		b.sendNext()
	}
	b.sent++
	b.progress = time.Now().Add(-cfg.PublishTimeout / 2)
	b.silent(t.Context())
	b.run(t.Context())
	require.NoError(t, b.err)
	stored, fresh := b.proven()
	require.Equal(t, 5, stored)
	require.True(t, fresh)
	require.Equal(t, ids(events), storedIDs(t, s.admin(), cfg.StreamName))
}

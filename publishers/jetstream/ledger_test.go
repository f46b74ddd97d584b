package jetstream

import (
	"math"
	"sync"
	"testing"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// A stream that is deleted and created anew while the connection stays is found out by the next event, which is not stored there.
func TestAStreamThatWasReplacedGetsNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	state, err := p.Inspect(t.Context())
	require.NoError(t, err)
	p.Accept(state)
	eventually(t, p, testEvents(cfg, 10, 3))
	require.NoError(t, s.admin().DeleteStream(t.Context(), cfg.StreamName))
	require.Eventually(t, func() bool {
		_, err := p.Publish(t.Context(), testEvents(cfg, 10, 3))
		return kind(err) == "rewound"
	}, patience, 10*time.Millisecond)
	state, err = p.Inspect(t.Context())
	require.NoError(t, err)
	require.Zero(t, state.Last)
	p.Accept(state)
	eventually(t, p, testEvents(cfg, 10, 3))
}

// Somebody else may create it anew before the relay notices: then the sequences of the acknowledgements tell.
func TestAcknowledgementsOfAnotherStreamAreNoticed(t *testing.T) {
	modes(t, func(t *testing.T, prepare func(*testing.T, *testServer, Config) Config) {
		s := startServer(t, "")
		cfg := prepare(t, s, configFor(t, s.url()))
		p, _ := connect(t, cfg)
		state, err := p.Inspect(t.Context())
		require.NoError(t, err)
		p.Accept(state)
		eventually(t, p, testEvents(cfg, 10, 3))
		admin := s.admin()
		stream, err := admin.Stream(t.Context(), cfg.StreamName)
		require.NoError(t, err)
		require.NoError(t, admin.DeleteStream(t.Context(), cfg.StreamName))
		_, err = admin.CreateStream(t.Context(), stream.CachedInfo().Config)
		require.NoError(t, err)
		outcomes, err := p.Publish(t.Context(), testEvents(cfg, 5, 3))
		require.NoError(t, err)
		require.True(t, outcomes[4].Stored)
		_, err = p.Publish(t.Context(), testEvents(cfg, 5, 3))
		require.ErrorIs(t, err, relay.ErrRewound)
	})
}

func TestWhatAStreamRemovesByItself(t *testing.T) {
	t.Parallel()
	const never, payload = math.MaxInt64, 1 << 20
	old := jsapi.DiscardOld
	for name, c := range map[string]struct {
		cfg     jsapi.StreamConfig
		state   jsapi.StreamState
		expires string
		until   uint64
		room    uint64
	}{
		"nothing removes anything":        {jsapi.StreamConfig{}, jsapi.StreamState{LastSeq: 7}, "", never, never},
		"an age is told apart":            {jsapi.StreamConfig{MaxAge: time.Hour}, jsapi.StreamState{LastSeq: 7}, "", never, never},
		"it refuses":                      {jsapi.StreamConfig{Discard: jsapi.DiscardNew, MaxMsgs: 10}, jsapi.StreamState{LastSeq: 7, Msgs: 7}, "", never, 3},
		"full, it drops the oldest":       {jsapi.StreamConfig{MaxMsgs: 10}, jsapi.StreamState{LastSeq: 30, Msgs: 10}, "max_msgs is 10", 30, 0},
		"not full":                        {jsapi.StreamConfig{MaxMsgs: 10}, jsapi.StreamState{LastSeq: 30, Msgs: 4}, "max_msgs is 10", 36, 6},
		"one large message may fill":      {jsapi.StreamConfig{MaxBytes: 1 << 20}, jsapi.StreamState{LastSeq: 3}, "max_bytes is 1048576", 3, 0},
		"two large messages fit":          {jsapi.StreamConfig{MaxBytes: 3 << 20}, jsapi.StreamState{LastSeq: 3}, "max_bytes is 3145728", 5, 2},
		"the stream takes small ones":     {jsapi.StreamConfig{MaxBytes: 1 << 20, MaxMsgSize: 1000}, jsapi.StreamState{LastSeq: 3}, "max_bytes", 3 + 203, 203},
		"beyond a limit made smaller":     {jsapi.StreamConfig{MaxMsgs: 10}, jsapi.StreamState{LastSeq: 30, Msgs: 12}, "max_msgs is 10", 30, 0},
		"two limits":                      {jsapi.StreamConfig{MaxMsgs: 9, MaxBytes: 3 << 20}, jsapi.StreamState{LastSeq: 30, Msgs: 8}, "max_bytes is 3145728, max_msgs is 9", 31, 1},
		"consumers remove":                {jsapi.StreamConfig{Retention: jsapi.InterestPolicy}, jsapi.StreamState{LastSeq: 7}, "retention interest", 0, never},
		"one message a subject":           {jsapi.StreamConfig{MaxMsgsPerSubject: 1, Discard: old}, jsapi.StreamState{LastSeq: 7}, "max_msgs_per_subject is 1", 0, never},
		"one a subject, the rest waits":   {jsapi.StreamConfig{MaxMsgsPerSubject: 1, Discard: jsapi.DiscardNew, DiscardNewPerSubject: true}, jsapi.StreamState{LastSeq: 7}, "", never, never},
		"one a subject, whatever is full": {jsapi.StreamConfig{MaxMsgsPerSubject: 1, Discard: jsapi.DiscardNew}, jsapi.StreamState{LastSeq: 7}, "max_msgs_per_subject is 1", 0, never},
		"publishers remove":               {jsapi.StreamConfig{AllowRollup: true}, jsapi.StreamState{LastSeq: 7}, "allow_rollup", 0, never},
		"messages have an age of theirs":  {jsapi.StreamConfig{AllowMsgTTL: true}, jsapi.StreamState{LastSeq: 7}, "allow_msg_ttl", 0, never},
	} {
		info := &jsapi.StreamInfo{Config: c.cfg, State: c.state}
		require.Contains(t, expires(c.cfg), c.expires, name)
		require.Equal(t, c.expires == "", expires(c.cfg) == "", name)
		require.Equal(t, c.room, roomOf(info, payload), name)
		require.Equal(t, c.until, keepsUntil(info, roomOf(info, payload)), name)
	}
}

// A scan needs two permissions of its own, or one to do without a consumer. It says which one is missing.
func TestScanSaysWhichPermissionIsMissing(t *testing.T) {
	t.Parallel()
	for deny, want := range map[string]string{
		"$JS.API.CONSUMER.CREATE.>":   "$JS.API.CONSUMER.CREATE.",
		"$JS.API.CONSUMER.MSG.NEXT.>": "$JS.API.CONSUMER.MSG.NEXT.",
	} {
		s, cfg := restricted(t, `publish: { deny: ["`+deny+`", "$JS.API.STREAM.MSG.GET.>"] }`)
		_, err := s.admin(asAdmin()).CreateStream(t.Context(), cfg.stream(true))
		require.NoError(t, err)
		p, _ := connect(t, cfg)
		eventually(t, p, testEvents(cfg, 10, 3))
		err = p.Scan(t.Context(), relay.Scan{First: 1, Last: 10}, func(relay.StoredEvent) error { return nil })
		require.ErrorIs(t, err, relay.ErrMisconfigured)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "$JS.API.STREAM.MSG.GET.")
	}
}

// A work queue allows no consumer beside its own; it is read nevertheless, as far as it holds what was stored.
func TestScanOfAWorkQueue(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	stream := cfg.stream(true)
	stream.Retention = jsapi.WorkQueuePolicy
	created, err := s.admin().CreateStream(t.Context(), stream)
	require.NoError(t, err)
	p, _ := connect(t, cfg)
	events := testEvents(cfg, 20, 3)
	eventually(t, p, events)
	require.NoError(t, created.DeleteMsg(t.Context(), 5))
	require.NoError(t, created.DeleteMsg(t.Context(), 20))
	var found []int64
	require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 3, Last: 20}, func(event relay.StoredEvent) error {
		found = append(found, event.ID)
		return nil
	}))
	require.Equal(t, append(ids(events[2:4]), ids(events[5:19])...), found)
}

// A scan leaves no consumer behind, for which a stream might keep what others have read.
func TestScanLeavesNoConsumer(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	eventually(t, p, testEvents(cfg, 20, 3))
	require.NoError(t, p.Scan(t.Context(), relay.Scan{First: 1, Last: 20}, func(relay.StoredEvent) error { return nil }))
	stream, err := s.admin().Stream(t.Context(), cfg.StreamName)
	require.NoError(t, err)
	require.Zero(t, stream.CachedInfo().State.Consumers)
}

// A server that comes back without the stream while it is read ends the scan.
func TestScanEndsWithTheStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	cfg.CreateStream = false
	_, err := s.admin().CreateStream(t.Context(), cfg.stream(true))
	require.NoError(t, err)
	p, _ := connect(t, cfg)
	eventually(t, p, testEvents(cfg, 1000, 3))
	l, err := p.ready(t.Context())
	require.NoError(t, err)
	gone := func() {
		require.NoError(t, s.admin().DeleteStream(t.Context(), cfg.StreamName))
		s.stop()
		s.start()
		// Before that the library's question would not leave the client.
		require.Eventually(t, func() bool { return l.nc.Stats().Reconnects > 0 && l.nc.IsConnected() }, 30*time.Second, time.Millisecond)
	}
	var once sync.Once
	err = p.Scan(t.Context(), relay.Scan{First: 1, Last: 1000, Payloads: true}, func(relay.StoredEvent) error {
		once.Do(gone)
		return nil
	})
	require.ErrorIs(t, err, relay.ErrUnavailable)
	require.ErrorContains(t, err, "cannot be read back")
}

func TestHeldBetween(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state       jsapi.StreamState
		after, last uint64
		want        uint64
	}{
		"all read":               {jsapi.StreamState{FirstSeq: 1, LastSeq: 9}, 9, 9, 0},
		"some left":              {jsapi.StreamState{FirstSeq: 1, LastSeq: 20}, 7, 9, 2},
		"removed in between":     {jsapi.StreamState{FirstSeq: 1, LastSeq: 20, Deleted: []uint64{7, 8, 9, 10}}, 7, 9, 0},
		"some of them removed":   {jsapi.StreamState{FirstSeq: 1, LastSeq: 20, Deleted: []uint64{8}}, 7, 9, 1},
		"removed from the start": {jsapi.StreamState{FirstSeq: 10, LastSeq: 20}, 0, 9, 0},
		"nothing read":           {jsapi.StreamState{FirstSeq: 3, LastSeq: 20}, 0, 9, 7},
	} {
		require.Equal(t, c.want, heldBetween(c.state, c.after, c.last), name)
	}
}

// What was removed from the end of a stream is not waited for.
func TestScanEndsBeforeWhatWasRemoved(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	cfg := configFor(t, s.url())
	p, _ := connect(t, cfg)
	eventually(t, p, testEvents(cfg, 6, 3))
	stream, err := s.admin().Stream(t.Context(), cfg.StreamName)
	require.NoError(t, err)
	for _, sequence := range []uint64{2, 5, 6} {
		require.NoError(t, stream.DeleteMsg(t.Context(), sequence))
	}
	scan := func(first uint64) (found []uint64) {
		require.NoError(t, p.Scan(t.Context(), relay.Scan{First: first, Last: 6}, func(e relay.StoredEvent) error {
			found = append(found, e.Sequence)
			return nil
		}))
		return found
	}
	require.Equal(t, []uint64{1, 3, 4}, scan(0))
	require.Empty(t, scan(5))
}

package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// shared returns relays of one process that share sources out; nothing runs.
func shared(n int) (*Share, []*Relay) {
	s := NewShare()
	relays := make([]*Relay, n)
	for i := range relays {
		log, m := zap.NewNop(), newMetrics(nil, "memory")
		relays[i] = &Relay{cfg: DefaultConfig(), share: s, track: newTracker(log, m, "owner", "memory")}
	}
	return s, relays
}

// lead makes relays leaders that publish.
func (s *Share) lead(relays ...*Relay) {
	for _, r := range relays {
		s.began(r)
		r.track.enter(StateLeading)
		r.track.brokerAnswered(BrokerOK, nil)
	}
}

func TestALeaseIsGivenWhereTheDifferenceIsTwo(t *testing.T) {
	t.Parallel()
	s, relays := shared(3)
	s.lead(relays...)
	require.False(t, s.give(relays[0], 2), "sources would go to and fro")
	require.True(t, s.give(relays[0], 1))
}

func TestOneLeaseIsGivenAtATime(t *testing.T) {
	t.Parallel()
	s, relays := shared(5)
	s.lead(relays...)
	require.True(t, s.give(relays[0], 0))
	require.Equal(t, 4, s.told(), "what is given away does not count")
	require.False(t, s.give(relays[1], 0))
	s.ended(relays[1])
	require.False(t, s.give(relays[2], 0), "the first is not given yet")
	s.ended(relays[0])
	require.Equal(t, 3, s.told())
	require.True(t, s.give(relays[2], 0))
}

func TestAProcessAsksForOneSourceAtATime(t *testing.T) {
	t.Parallel()
	s, relays := shared(3)
	load, may := s.wantMore(relays[0])
	require.True(t, may)
	require.Zero(t, load)
	_, may = s.wantMore(relays[0])
	require.True(t, may, "it goes on asking")
	s.nextBid = time.Time{}
	_, may = s.wantMore(relays[1])
	require.False(t, may)

	s.lead(relays[0])
	load, may = s.wantMore(relays[1])
	require.True(t, may, "the first has what it asked for")
	require.Equal(t, 1, load)
	s.wantNot(relays[1])
	_, may = s.wantMore(relays[2])
	require.False(t, may, "not at once")
	s.nextBid = time.Time{}
	_, may = s.wantMore(relays[2])
	require.True(t, may, "the second had nothing to ask for")
}

func TestABidInVainMakesRoomForAnother(t *testing.T) {
	t.Parallel()
	s, relays := shared(2)
	_, may := s.wantMore(relays[0])
	require.True(t, may)
	s.nextBid, s.bidOver = time.Time{}, time.Now().Add(-time.Millisecond)
	_, may = s.wantMore(relays[1])
	require.True(t, may)
}

func TestAProcessThatPublishesNothingAsksForNoMore(t *testing.T) {
	t.Parallel()
	s, relays := shared(3)
	s.began(relays[0])
	relays[0].track.enter(StateLeading)
	_, may := s.wantMore(relays[2])
	require.False(t, may, "whether it can publish is not known yet")

	relays[0].track.brokerAnswered(BrokerUnavailable, ErrUnavailable)
	_, may = s.wantMore(relays[2])
	require.False(t, may)

	s.lead(relays[1])
	_, may = s.wantMore(relays[2])
	require.True(t, may, "one of two can be published: the trouble is that of the other source")
}

func TestABidOutlivesTheTimeBetweenTwoRenewals(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	require.Equal(t, bidLife, cfg.bidLife())
	cfg.Lease = time.Minute
	require.Greater(t, cfg.bidLife(), cfg.Lease/renewShare)
}

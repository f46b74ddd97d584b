package integration

import (
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/publishers/failover"
	"github.com/gameoutbox/relay/publishers/publishertest"
	"github.com/gameoutbox/relay/publishers/redisstream"
	"github.com/gameoutbox/relay/relay"
)

// TestFailoverConformance runs the suite of all publishers over a pair of brokers. Nobody begins a new session in the suite, so that
// all events go to the primary: this is about the pair that adds nothing of its own and takes nothing away.
func TestFailoverConformance(t *testing.T) {
	start := func(t *testing.T) *harness.Server {
		return harness.StartNATS(t, harness.NATSOptions{Config: roomyNATS})
	}
	common, fallback := start(t), harness.Redis(t)
	publishertest.Run(t, publishertest.Harness{
		Open: func(t *testing.T) publishertest.Place { return pairPlace(t, common.URL, fallback) },
		OpenOwn: func(t *testing.T) publishertest.Place {
			own := start(t)
			place := pairPlace(t, own.URL, fallback)
			place.Stop, place.Start = func(*testing.T) { own.Kill() }, func(*testing.T) { own.Start() }
			return place
		},
		MaxPayload: 1 << 20,
		TooLarge:   1114112,
	})
}

// pairPlace is a stream with a fallback, for which no outage is long enough.
func pairPlace(t *testing.T, primary, fallback string) publishertest.Place {
	place := jetstreamPlace(t, primary)
	open := place.New
	place.New = func(t *testing.T) relay.Publisher {
		u, err := url.Parse(fallback)
		require.NoError(t, err)
		cfg := redisstream.DefaultConfig()
		cfg.Host, cfg.Stream = u.Hostname(), "conformance:"+t.Name()
		cfg.Port, err = strconv.Atoi(u.Port())
		require.NoError(t, err)
		second, err := redisstream.New(cfg, zap.NewNop())
		require.NoError(t, err)
		p, err := failover.New(failover.Config{After: time.Hour, FailbackAfter: time.Hour}, open(t), second, zap.NewNop())
		require.NoError(t, err)
		return p
	}
	return place
}

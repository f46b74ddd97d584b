package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// fullFailover are the settings of a relay in the tests of failover at full size: the defaults, where the pairs of the other tests switch
// fast.
var fullFailover = []string{"OUTBOX_FAILOVER_AFTER=10s", "OUTBOX_FAILOVER_FAILBACK_AFTER=30s", "OUTBOX_MQ_CONNECT_TIMEOUT=5s", "OUTBOX_MQ_PUBLISH_TIMEOUT=5s"}

// TestSizeRedisStandsInForJetStream kills JetStream under load three times in a row, at full size for a minute each. Consumers of Redis
// get everything that is published meanwhile, and JetStream has every event once afterwards.
func TestSizeRedisStandsInForJetStream(t *testing.T) {
	t.Parallel()
	lasting, between := atSize(4*time.Second, time.Minute), atSize(2*time.Second, 20*time.Second)
	for _, retention := range []string{"5m", "0s"} {
		t.Run("retention "+retention, func(t *testing.T) {
			t.Parallel()
			settings := append(atSize(nil, fullFailover), "OUTBOX_RELAY_RETENTION="+retention)
			p := newPair(t, harness.Redis(t), "standin-"+retention, settings...)
			p.start()
			p.await(false)
			stopGame := p.g.start(t, 3)
			require.Eventually(t, func() bool { return p.s.count() > 0 }, 30*time.Second, 20*time.Millisecond)
			for range 3 {
				p.outage(lasting)
				code, body := p.get("/readyz")
				require.Equal(t, http.StatusOK, code)
				require.Equal(t, "ready, on the fallback redis\n", body)
				p.await(false)
				<-time.After(between) // JetStream works for a while
			}
			stopGame()
			p.requireRehomed()

			p.g.requireWhole(t, p.s.moves(t))
			marked := p.rehomed()
			require.NotEmpty(t, marked)
			_, inRedis := p.redis.read(t)
			rehomed, unmarked := len(marked), 0
			for _, id := range inRedis {
				if !marked[id] {
					unmarked++ // JetStream had stored it before it died, and had not said so
				}
				delete(marked, id)
			}
			require.Empty(t, marked, "events are marked that never were in Redis")
			_, metrics := p.get("/metrics")
			require.Contains(t, metrics, `outbox_relay_failovers_total{broker="jetstream",source="default"} 3`)
			require.Contains(t, metrics, `outbox_relay_failover_active{broker="jetstream",source="default"} 0`)
			t.Logf("three outages of %s and more: %d events, %d of them in Redis, %d rehomed, %d in JetStream before", lasting,
				p.s.count(), len(inRedis), rehomed, unmarked)
			p.stop()
		})
	}
}

// TestSizeJetStreamFlaps lets JetStream come and go faster than failover.after, so that it is never left, and slower, so that it is left
// once and not used again before it stays.
func TestSizeJetStreamFlaps(t *testing.T) {
	t.Parallel()
	const down, up = 2 * time.Second, 3 * time.Second
	for name, c := range map[string]struct {
		after    time.Duration
		switches int // to Redis
	}{
		"faster than failover.after": {8 * time.Second, 0},
		"slower than failover.after": {time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, harness.Redis(t), "flaps-"+c.after.String(),
				"OUTBOX_FAILOVER_AFTER="+c.after.String(), "OUTBOX_FAILOVER_FAILBACK_AFTER=10s")
			p.start()
			p.await(false)
			stopGame := p.g.start(t, 3)
			flaps := atSize(4, 10)
			for range flaps {
				p.nats.Kill()
				<-time.After(down) // how fast it flaps is what the test is about
				p.nats.Start()
				before, again := p.stored(), time.After(up)
				require.Eventually(t, func() bool { return p.stored() > before }, 8*time.Second, 20*time.Millisecond)
				<-again
			}
			p.await(false)
			stopGame()
			p.requireRehomed()
			p.g.requireWhole(t, p.s.moves(t))
			_, metrics := p.get("/metrics")
			require.Contains(t, metrics, fmt.Sprintf("outbox_relay_failovers_total{broker=\"jetstream\",source=\"default\"} %d\n", c.switches))
			p.stop()
			require.Equal(t, c.switches, strings.Count(p.output.String(), "events go to the fallback from now on"))
			require.Equal(t, c.switches, strings.Count(p.output.String(), "events go to the primary again"))
			t.Logf("%d flaps: %d switches to Redis, %d events, %d of them in Redis", flaps, c.switches, p.s.count(), p.redis.count(t))
		})
	}
}

// stored returns how many events both brokers hold.
func (p *pair) stored() int { return p.s.count() + p.redis.count(p.t) }

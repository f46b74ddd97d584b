package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// TestAFullDiskOfJetStream fills the disk of the primary, which then answers questions and stores nothing. Events go to the fallback,
// and stay there until the primary stores events again. That takes room and, with a newer server, a restart.
func TestAFullDiskOfJetStream(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.15", "2.10"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server, disk := harness.StartNATSOnDisk(t, "24m", harness.NATSOptions{Version: version})
			p := newPairOn(t, server, harness.Redis(t), "full-disk", "OUTBOX_FAILOVER_AFTER=2s")
			p.start()
			p.await(false)
			p.g.run(t, 3, 500*time.Millisecond)
			requireSettled(t, p.db.Pool)
			disk.Fill()
			require.Eventually(t, func() bool { // what the server has room for in its buffers is stored
				p.g.run(t, 3, 500*time.Millisecond)
				f := p.status().Failover
				return f != nil && f.OnFallback
			}, 2*time.Minute, time.Millisecond, "the fallback is not used: %+v", p.status())
			require.Contains(t, p.status().Failover.Reason, "the disk and the log")
			p.await(true)
			p.g.run(t, 3, time.Second)
			requireSettled(t, p.db.Pool)
			require.Positive(t, p.redis.count(t))

			before := p.status().Failover.Since
			<-time.After(8 * time.Second) // three times failback_after
			require.True(t, p.status().Failover.OnFallback)
			require.Equal(t, before, p.status().Failover.Since, "it went there and back")

			disk.Free()
			p.nats.Restart()
			p.await(false)
			p.requireRehomed()
			p.g.run(t, 3, 500*time.Millisecond)
			requireSettled(t, p.db.Pool)
			p.g.requireWhole(t, p.s.moves(t))
			p.stop()
		})
	}
}

// TestAFullDiskWithoutAFallback says why events wait, is not ready, and does not say that events are stored while none is.
func TestAFullDiskWithoutAFallback(t *testing.T) {
	t.Parallel()
	server, disk := harness.StartNATSOnDisk(t, "24m", harness.NATSOptions{})
	db := harness.Postgres(t)
	s := newStream(t, server.URL, "full-disk-alone")
	// A short window makes sessions short.
	p := newProcess(t, db.URL, s, "OUTBOX_MQ_PUBLISH_TIMEOUT=1s", "OUTBOX_MQ_DUPLICATE_WINDOW=2s", "OUTBOX_RELAY_BACKOFF_MAX=1s")
	p.start()
	g := newGame(t, db, 20, s.subject)
	g.run(t, 3, 500*time.Millisecond)
	requireSettled(t, db.Pool)
	disk.Fill()
	require.Eventually(t, func() bool {
		g.run(t, 3, 100*time.Millisecond)
		code, text := p.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "stays at sequence") && strings.Contains(text, "check the disk and the log")
	}, time.Minute, time.Millisecond)
	sessions := strings.Count(p.output.String(), "reading events again")
	require.Eventually(t, func() bool {
		code, _ := p.get("/readyz")
		require.Equal(t, http.StatusServiceUnavailable, code)
		return strings.Count(p.output.String(), "reading events again") > sessions+1
	}, time.Minute, 20*time.Millisecond, "no new session began")
	require.Zero(t, strings.Count(p.output.String(), "broker stores events again"))

	disk.Free()
	server.Restart()
	requireSettled(t, db.Pool)
	require.Eventually(t, func() bool { return strings.Count(p.output.String(), "broker stores events again") > 0 }, time.Minute, 20*time.Millisecond)
	g.requireWhole(t, s.moves(t))
	p.stop()
}

// TestAMappedSubjectDoesNotSwitch takes one subject to nobody. Its events wait, and all others go to the primary.
func TestAMappedSubjectDoesNotSwitch(t *testing.T) {
	t.Parallel()
	const name = "mapped-away"
	server := harness.StartNATS(t, harness.NATSOptions{Config: `mappings { "` + name + `.lost": "nowhere.at.all" }`})
	p := newPairOn(t, server, harness.Redis(t), name)
	p.start()
	p.await(false)
	for range 3 {
		_, err := p.db.Pool.Exec(t.Context(), "select outbox.publish($1, '{}', 'lost')", name+".lost")
		require.NoError(t, err)
	}
	for range 5 { // failover.after passes more than once
		p.g.run(t, 3, time.Second)
	}
	require.Eventually(t, func() bool { return waiting(t, p.db.Pool) == 3 }, time.Minute, 20*time.Millisecond)
	require.Contains(t, p.status().DelayedError, "mapping")
	require.Contains(t, p.status().DelayedError, name+".lost")
	require.NotContains(t, p.output.String(), "events go to the fallback")
	require.NotContains(t, p.output.String(), "no leader")
	p.g.requireWhole(t, p.s.moves(t))
	p.stop()
}

// TestASubjectThatASubscriberTakesDoesNotSwitch takes one subject to a subscriber that never answers, while there is no
// other traffic. Its events wait, the broker is healthy, and what comes later goes to the primary at once.
func TestASubjectThatASubscriberTakesDoesNotSwitch(t *testing.T) {
	t.Parallel()
	const name = "taken-away"
	server := harness.StartNATS(t, harness.NATSOptions{Config: `mappings { "` + name + `.lost": "somewhere.else" }`})
	nc, err := nats.Connect(server.URL)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	_, err = nc.Subscribe("somewhere.else", func(*nats.Msg) {})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	p := newPairOn(t, server, harness.Redis(t), name)
	p.start()
	p.await(false)
	lost := func() {
		_, err := p.db.Pool.Exec(t.Context(), "select outbox.publish($1, '{}', 'lost')", name+".lost")
		require.NoError(t, err)
	}
	lost()
	require.Eventually(t, func() bool { return strings.Contains(p.status().DelayedError, "does not reach stream") },
		time.Minute, 20*time.Millisecond)
	const sixTimesAfter = 6 * time.Second
	require.Never(t, func() bool { return p.status().Failover.OnFallback }, sixTimesAfter, 50*time.Millisecond)
	lost()
	p.g.run(t, 3, 3*time.Second)
	require.Eventually(t, func() bool { return waiting(t, p.db.Pool) == 2 }, time.Minute, 20*time.Millisecond)
	require.NotContains(t, p.output.String(), "events go to the fallback")
	p.g.requireWhole(t, p.s.moves(t))
	p.stop()
}

package integration_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// TestAPausedLeaderWakesUp stops a leader in the middle of a batch, as SIGSTOP does or a host that sleeps, and lets it go on when
// another relay has published everything and the stream has forgotten the ids.
func TestAPausedLeaderWakesUp(t *testing.T) {
	t.Parallel()
	for _, server := range []struct{ version, broker string }{{"", "fast ingest"}, {"2.10", "singly"}} {
		t.Run(server.broker, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			nats := harness.StartNATS(t, harness.NATSOptions{Version: server.version})
			const window = time.Second
			c := newCrew(t, db, db.URL, newStream(t, nats.URL, "paused"), 2, "OUTBOX_RELAY_LEASE=1s", "OUTBOX_MQ_DUPLICATE_WINDOW="+window.String())
			c.g.pad = 3000
			paused, other := c.relays[0], c.relays[1]
			inBatch := 0
			for range atSize(4, 30) {
				c.g.run(t, 8, time.Second)
				backlog := waiting(t, db.Pool)
				before := c.s.count()
				paused.start()
				require.Eventually(t, func() bool { return c.s.count() > before }, 30*time.Second, time.Millisecond)
				paused.signal(syscall.SIGSTOP)
				if stored := c.s.count() - before; stored < backlog {
					inBatch++
				}
				other.start()
				requireSettled(t, db.Pool)
				forgotten := time.Now().Add(2 * window)
				require.Eventually(t, func() bool { return time.Now().After(forgotten) }, 10*time.Second, 50*time.Millisecond)
				stored := c.s.count()
				paused.signal(syscall.SIGCONT)
				require.Eventually(t, func() bool { return paused.status().State == relay.StateStandby }, 30*time.Second, 10*time.Millisecond)
				require.Equal(t, stored, c.s.count(), "nothing more is sent")
				other.stop()
				paused.stop()
			}
			c.requireWhole()
			require.Positive(t, inBatch, "no batch was interrupted")
			t.Logf("%d events, %d pauses in the middle of a batch", c.s.count(), inBatch)
		})
	}
}

// TestAPausedLeaderThatNobodyFollowsWakesUp stops the only relay in the middle of a batch until the stream has forgotten the ids. It
// still leads when it wakes, and must not send again what it was not told of.
func TestAPausedLeaderThatNobodyFollowsWakesUp(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "alone"), 1,
		"OUTBOX_RELAY_LEASE=1s", "OUTBOX_MQ_DUPLICATE_WINDOW="+shortWindow.String())
	p := c.start()
	const each = 20_000
	written, inBatch := 0, 0
	for range atSize(4, 30) {
		_, err := db.Pool.Exec(t.Context(), `insert into outbox.events (subject, key, payload)
			select 'alone.x', (i % 1000)::text, decode(repeat('ab', 1000), 'hex') from generate_series(1, $1::int) as i`, each)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return c.s.count() > written }, 30*time.Second, time.Millisecond)
		p.signal(syscall.SIGSTOP)
		written += each
		if c.s.count() < written {
			inBatch++
		}
		<-time.After(2 * shortWindow) // the pause's length is what the test is about
		p.signal(syscall.SIGCONT)
		requireSettled(t, db.Pool)
		require.Equal(t, written, c.s.count(), "each event is stored once")
	}
	require.Positive(t, inBatch, "no batch was interrupted")
	t.Logf("%d events, %d pauses in the middle of a batch", written, inBatch)
	c.stop()
}

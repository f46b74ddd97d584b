package integration_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/gameoutbox/relay/integration/harness"
)

// TestRelaysComeAndGo kills, pauses or stops one of ten relays every second.
func TestRelaysComeAndGo(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	comeAndGo(t, db, db.URL, newStream(t, harness.NATS(t), "chaos"))
}

func comeAndGo(t *testing.T, db *harness.Database, url string, s stream) {
	t.Helper()
	c := newCrew(t, db, url, s, 10)
	c.start()
	stopGame := c.g.start(t, 3)
	end := time.Now().Add(atSize(20*time.Second, time.Minute))
	harmed := map[string]int{}
	for time.Now().Before(end) {
		<-time.After(time.Second) // the rhythm is what the test is about
		harmed[c.harm()]++
	}
	for _, p := range c.relays {
		p.resume()
	}
	stopGame()
	c.requireWhole()
	t.Logf("%d events, %v, %d terms, longest pause %v", s.count(), harmed, c.lease().Term, s.longestPause(t).Round(time.Millisecond))
	c.stop()
}

// TestARollingDeploy replaces ten relays one by one under load.
func TestARollingDeploy(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "deploy"), 10)
	c.start()
	stopGame := c.g.start(t, 3)
	for _, p := range c.relays {
		before := c.s.count()
		p.signal(syscall.SIGTERM)
		<-p.exited
		p.start()
		p.requireReady()
		c.awaitMore(before)
	}
	stopGame()
	c.requireWhole()
	pause := c.s.longestPause(t)
	t.Logf("%d events, %d terms, longest pause %v", c.s.count(), c.lease().Term, pause.Round(time.Millisecond))
	if limit := 3*time.Second + slack; pause > limit {
		t.Errorf("a pause of %v, more than %v", pause, limit)
	}
	c.stop()
}

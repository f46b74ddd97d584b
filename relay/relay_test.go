package relay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfigReportsAllProblems(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	err := Config{BatchEvents: 70000, BackoffMin: time.Second, BackoffMax: time.Millisecond, MaxAttempts: -1}.Validate()
	for _, field := range []string{"batch_events is 70000", "batch_bytes", "poll_interval", "sweep_interval", "max_attempts is -1", "backoff_max", "shutdown_timeout"} {
		require.ErrorContains(t, err, field)
	}
	var one *FieldError
	require.ErrorAs(t, err, &one)
	require.Equal(t, "1 to 65536", one.Allowed)
}

func TestNewRefusesMissingParts(t *testing.T) {
	t.Parallel()
	_, err := New(DefaultConfig(), Options{})
	require.ErrorContains(t, err, "pool")
}

func TestTrackerSaysWhyItIsNotReady(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	track := newTracker(zap.New(core), newMetrics(nil, "script"), "test", "script")
	require.False(t, track.snapshot().Ready)

	track.enter(StateLeading)
	require.True(t, track.snapshot().Ready, "nothing speaks against the broker yet")

	for range 100 {
		track.brokerAnswered(BrokerUnavailable, errors.New("no route"))
	}
	require.Contains(t, track.snapshot().NotReady, "no route")
	track.published(1, 0)
	require.True(t, track.brokerAnswered(BrokerOK, nil))
	require.False(t, track.brokerAnswered(BrokerOK, nil), "it recovers once")
	require.True(t, track.snapshot().Ready)

	track.databaseFailed("settle events", errors.New("disk full"))
	require.Contains(t, track.snapshot().NotReady, "cannot settle events: disk full")
	track.databaseWorks("measure the backlog")
	require.False(t, track.snapshot().Ready, "something else works, this does not")
	track.databaseWorks("settle events")
	require.True(t, track.snapshot().Ready)

	track.databaseFailed(purging, errors.New("locked"))
	require.True(t, track.snapshot().Ready, "a purge that waits keeps no event from the broker")
	require.Equal(t, []string{"cannot purge settled events: locked"}, track.snapshot().Warnings)
	track.databaseWorks(purging)
	require.Empty(t, track.snapshot().Warnings)

	track.enter(StateStandby)
	require.True(t, track.snapshot().Ready, "a healthy standby is ready")

	track.lines.flush(time.Minute)
	var lines []string
	for _, entry := range logs.All() {
		lines = append(lines, entry.Message)
	}
	require.Equal(t, []string{
		"relay is leading", "broker does not store events; they wait in Postgres", "broker stores events again",
		"database trouble; trying again", "database works again", "database trouble; trying again", "database works again", "relay is standby",
	}, lines, "an error that goes on is logged once, and once when it is over:\n"+strings.Join(lines, "\n"))
}

// That a broker can be looked at is no sign that it stores events, as long as some wait.
func TestTrackerDoesNotTakeALookForAStoredEvent(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	track := newTracker(zap.New(core), newMetrics(nil, "script"), "test", "script")
	track.enter(StateLeading)
	track.backlogMeasured(Backlog{Events: 1}, newHeldKeys(nil))
	last := func() string {
		track.lines.flush(time.Minute)
		return logs.All()[logs.Len()-1].Message
	}

	track.brokerAnswered(BrokerFailing, errors.New("silence"))
	track.brokerLooked(BrokerOK, nil)
	require.Contains(t, track.snapshot().NotReady, "silence")
	require.Equal(t, "broker does not store events; they wait in Postgres", last())
	track.published(1, 0)
	require.True(t, track.brokerAnswered(BrokerOK, nil))
	require.True(t, track.snapshot().Ready)
	require.Equal(t, "broker stores events again", last())

	track.brokerAnswered(BrokerFailing, errors.New("silence"))
	require.True(t, track.brokerAnswered(BrokerOK, nil), "the broker refused what it was sent")
	require.Equal(t, "broker answers again", last())

	track.brokerAnswered(BrokerFailing, errors.New("silence"))
	track.backlogMeasured(Backlog{}, newHeldKeys(nil))
	track.brokerLooked(BrokerOK, nil)
	require.True(t, track.snapshot().Ready, "nothing waits")
	require.Equal(t, "broker answers again", last())

	track.backlogMeasured(Backlog{Events: 1}, newHeldKeys(nil))
	track.brokerLooked(BrokerUnavailable, errors.New("no route"))
	track.brokerLooked(BrokerOK, nil)
	require.True(t, track.snapshot().Ready, "a look began it")
}

func TestClockAgesByTheDatabase(t *testing.T) {
	t.Parallel()
	var c clock
	here := time.Now()
	c.set(here.Add(time.Hour), here, here) // the database is an hour ahead
	require.Equal(t, time.Second, c.age(here.Add(time.Hour), here.Add(time.Second)))
	require.Zero(t, c.age(here.Add(2*time.Hour), here), "never negative")
}

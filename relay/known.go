package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// staleAfter is the age at which a measurement of the backlog is too old: one more was due, and would have ended.
const staleAfter = measureInterval + backlogTimeout

func newDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("outbox_relay", "", name), help, nil, nil)
}

var (
	brokerUpDesc    = newDesc("broker_up", "1 while the broker stores events, 0 while it does not; absent where this relay does not publish.")
	backlogDesc     = newDesc("backlog_events", "Events that wait to be published, an upper bound above 10,000; absent while it cannot be measured.")
	lagDesc         = newDesc("lag_seconds", "Age of the oldest event that waits, by the database's clock; grows while it cannot be measured.")
	deadLettersDesc = newDesc("dead_letters", "Rows in outbox.dead_letters, counted up to 10,000, when they were last measured.")
	heldKeysDesc    = newDesc("held_keys", "Keys that wait until a dead letter of theirs is retried or discarded.")
	heldEventsDesc  = newDesc("held_events", "Events that wait for such a key.")
)

// known collects the gauges of what a relay does not always know. One whose value is not known is absent: a value that was true once
// would be taken for the present one. Only a leader knows them; one that loses its database keeps what it has measured last until it
// learns that another relay leads.
type known struct{ track *tracker }

// Describe implements [prometheus.Collector].
func (known) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{brokerUpDesc, backlogDesc, lagDesc, deadLettersDesc, heldKeysDesc, heldEventsDesc} {
		out <- desc
	}
}

// Collect implements [prometheus.Collector].
func (k known) Collect(out chan<- prometheus.Metric) {
	s, fresh := k.track.measurement(time.Now())
	send := func(desc *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	if s.State == StateLeading && s.Broker.State != BrokerUnknown {
		send(brokerUpDesc, float64(count(s.Broker.State == BrokerOK)))
	}
	if s.Backlog.At.IsZero() {
		return
	}
	if fresh {
		send(backlogDesc, float64(s.Backlog.Events))
	}
	send(lagDesc, s.Backlog.Lag)
	send(deadLettersDesc, float64(s.Backlog.DeadLetters))
	send(heldKeysDesc, float64(s.HeldKeys))
	send(heldEventsDesc, float64(s.HeldEvents))
}

// measurement returns the status with the lag as it is known at a moment. It is not fresh if the backlog could not be measured for some
// time: then an event may have waited since, so the lag grows with the clock.
func (t *tracker) measurement(now time.Time) (s Status, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.measured(now)
}

// measured needs the lock.
func (t *tracker) measured(now time.Time) (s Status, fresh bool) {
	s = t.status
	age := now.Sub(s.Backlog.At)
	if s.Backlog.At.IsZero() || age <= staleAfter {
		return s, true
	}
	s.Backlog.Lag += age.Seconds()
	s.Backlog.Exact = false
	return s, false
}

package relay

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the relay's own measurements; docs/ARCHITECTURE.md lists them.
type metrics struct {
	leading     prometheus.Gauge
	delayed     prometheus.Gauge
	openGaps    prometheus.Gauge
	published   prometheus.Counter
	duplicates  prometheus.Counter
	uncompared  prometheus.Counter
	retried     prometheus.Counter
	buried      *prometheus.CounterVec
	sweepFound  prometheus.Counter
	sessions    prometheus.Counter
	purged      prometheus.Counter
	losses      prometheus.Counter
	healed      prometheus.Counter
	lookedUp    prometheus.Counter
	recovered   prometheus.Counter
	onFallback  prometheus.Gauge
	failovers   prometheus.Counter
	rehomed     prometheus.Counter
	lease       *prometheus.GaugeVec
	leaseTerm   prometheus.Gauge
	leaseSince  prometheus.Gauge
	leaseUntil  prometheus.Gauge
	leasesGiven prometheus.Counter
	leasesLost  prometheus.Counter
	publishTime prometheus.Histogram
	endToEnd    prometheus.Histogram
	logDropped  prometheus.Counter
	stalls      *prometheus.CounterVec
	panics      prometheus.Counter

	registerer prometheus.Registerer // nil for none
}

// newMetrics registers the metrics; with a nil registerer they are kept but shown nowhere.
func newMetrics(registerer prometheus.Registerer, broker string) *metrics {
	if registerer != nil {
		registerer = prometheus.WrapRegistererWith(prometheus.Labels{"broker": broker}, registerer)
	}
	labelled := promauto.With(registerer)
	gauge := func(name, help string) prometheus.Gauge {
		return labelled.NewGauge(prometheus.GaugeOpts{Namespace: "outbox_relay", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return labelled.NewCounter(prometheus.CounterOpts{Namespace: "outbox_relay", Name: name, Help: help})
	}
	// From half a millisecond to two minutes: below lies the network, above lies an outage.
	seconds := func(name, help string) prometheus.Histogram {
		return labelled.NewHistogram(prometheus.HistogramOpts{
			Namespace: "outbox_relay", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		})
	}
	return &metrics{
		registerer: registerer,
		logDropped: counter("log_dropped_total", "Log lines that were dropped because nothing read the log."),
		stalls: labelled.NewCounterVec(prometheus.CounterOpts{
			Namespace: "outbox_relay", Name: "loop_stalls_total", Help: "How often a loop stood still and this relay gave its lease up.",
		}, []string{"loop"}),
		panics:      counter("panics_total", "Sessions that a fault in the program ended; should stay 0."),
		leading:     gauge("leading", "1 while this relay leads its outbox."),
		delayed:     gauge("delayed_events", "Events that wait because an event of their key is being retried."),
		openGaps:    gauge("open_gaps", "Ranges of ids that may still belong to an open transaction."),
		published:   counter("published_total", "Events that the broker acknowledged."),
		duplicates:  counter("duplicates_total", "Acknowledged events that the broker already had."),
		uncompared:  counter("duplicates_uncompared_total", "Of these, those that it has removed since, so that they were compared with nothing."),
		retried:     counter("retried_total", "Events that were sent again."),
		sweepFound:  counter("sweep_found_total", "Events found only by the safety sweep; should stay 0."),
		sessions:    counter("sessions_total", "Sessions in which this relay read the outbox from its beginning as the leader."),
		purged:      counter("purged_total", "Acknowledged events that were removed after their retention."),
		losses:      counter("stream_losses_total", "How often the stream was found to have lost acknowledged events; should stay 0."),
		healed:      counter("healed_events_total", "Events published again because the stream had lost them; a consumer may see them twice."),
		lookedUp:    counter("takeover_read_total", "Events that were read in the stream after a takeover."),
		recovered:   counter("takeover_found_total", "Events found there that an earlier relay had published without settling them."),
		onFallback:  gauge("failover_active", "1 while this relay leads and uses the fallback."),
		failovers:   counter("failovers_total", "How often the relay changed from the primary to the fallback."),
		rehomed:     counter("rehomed_total", "Events that the fallback got first and the primary has now; a consumer of both sees them twice."),
		leaseTerm:   gauge("lease_term", "Term of the lease, as this relay saw it last; it rises with each relay that takes over."),
		leaseSince:  gauge("lease_since_seconds", "When the lease was taken or given back, in seconds since 1970 by the database's clock."),
		leaseUntil:  gauge("lease_until_seconds", "When the lease expires unless it is renewed, in seconds since 1970 by the database's clock."),
		leasesLost:  counter("leases_lost_total", "How often this relay stopped publishing because it could not prove its lease."),
		leasesGiven: counter("leases_given_total", "How often this relay gave its lease to one whose process leads fewer sources."),
		publishTime: seconds("publish_seconds", "Time of one publish call, a batch, until the broker answered."),
		endToEnd:    seconds("end_to_end_seconds", "Time from an event's insert to its acknowledgement, by the database's clock."),
		lease: labelled.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "outbox_relay", Name: "lease", Help: "1 for the relay that leads the outbox, as this relay saw it last.",
		}, []string{"owner"}),
		buried: labelled.NewCounterVec(prometheus.CounterOpts{
			Namespace: "outbox_relay", Name: "dead_lettered_total", Help: "Events moved to outbox.dead_letters.",
		}, []string{"reason"}),
	}
}

// show registers a further collector.
func (m *metrics) show(c prometheus.Collector) {
	if m.registerer != nil {
		m.registerer.MustRegister(c)
	}
}

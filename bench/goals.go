package main

import "fmt"

// goal is something that the relay has to reach: a value, or a ratio of two.
type goal struct {
	what    string
	value   place
	base    place // what it is divided by; the zero place for nothing
	atLeast bool  // the bound is the least, not the most
	bound   float64
	unit    string
}

// place is where a value is found.
type place struct{ scenario, name, metric string }

// goals are what issue and documentation promise.
func goals() []goal {
	drain := func(name string) place { return place{"drain", name, drained.name} }
	backlog := func(name string) place { return place{"backlog", name, drained.name} }
	latency := func(c contender, quantile column) place { return place{"latency", latencyCase(c, 500), quantile.name} }
	writing := func(name string) place {
		return place{"transaction", writingCase(mostClients, name), transactions.name}
	}
	redis := func(what, way string) place {
		return place{"redis", redisCase(what, redisServer{way: way}), drained.name}
	}
	ours := drain(relayRetaining.name())
	return []goal{
		{what: "drain, of raw fast ingest", value: ours, base: drain(drainLimit), atLeast: true, bound: 0.95},
		{what: "drain, times Watermill's forwarder", value: ours, base: drain(watermillForwarder{}.name() + " *"), atLeast: true, bound: 20},
		{what: "latency at 500/s, p50, of the WAL reader's", value: latency(relayRetaining, p50), base: latency(walReader{}, p50), bound: 1},
		{what: "latency at 500/s, p99, of the WAL reader's", value: latency(relayRetaining, p99), base: latency(walReader{}, p99), bound: 1},
		{what: "transactions of 32 clients, doorbell, of no trigger", value: writing("event, doorbell"), base: writing(plainWriting), atLeast: true, bound: 0.95},
		{
			what: "transactions of 32 clients, doorbell, of no trigger, relay running", value: writing("event, doorbell, relay running"),
			base: writing("event, no trigger, relay running"), atLeast: true, bound: 0.95,
		},
		{what: "drain of 10,000,000, of that of 100,000", value: backlog(backlogOf10M), base: backlog(backlogOf100k), atLeast: true, bound: 0.95},
		{what: "drain beside an old snapshot, of that without", value: backlog(backlogHeld), base: backlog(backlogAfter), atLeast: true, bound: 0.95},
		{what: "relay CPU in the drain", value: place{"drain", relayRetaining.name(), ownCPU.name}, bound: 4, unit: "µs/event"},
		{what: "peak memory in the drain of 1 KiB payloads", value: place{"footprint", footprintDrain, peak.name}, bound: 64, unit: "MiB"},
		{what: "idle CPU", value: place{"footprint", footprintIdle, idleCPU.name}, bound: 0.3, unit: "% of a core"},
		{what: "drain to Redis, of raw (script)", value: redis("relay, retention 5 minutes", "script"), base: redis("raw", "script"), atLeast: true, bound: 0.9},
		{what: "drain to Redis, of raw (IDMP)", value: redis("relay, retention 5 minutes", "IDMP"), base: redis("raw", "IDMP"), atLeast: true, bound: 0.9},
	}
}

// measured returns the value of a goal; ok is false if this run did not measure it.
func (g goal) measured(r *results) (value float64, ok bool) {
	value, ok = r.median(g.value.scenario, g.value.name, g.value.metric)
	if !ok || g.base == (place{}) {
		return value, ok
	}
	base, ok := r.median(g.base.scenario, g.base.name, g.base.metric)
	return value / base, ok && base != 0
}

// verdict says in words whether the goal is reached.
func (g goal) verdict(value float64) string {
	if g.atLeast && value >= g.bound || !g.atLeast && value <= g.bound {
		return "reached"
	}
	return fmt.Sprintf("MISSED by %.0f%%", 100*max(g.bound/value-1, value/g.bound-1))
}

// sign is how the bound is written.
func (g goal) sign() string {
	if g.atLeast {
		return "≥"
	}
	return "≤"
}

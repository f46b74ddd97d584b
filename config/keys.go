package config

import "slices"

// keys lists every setting, bound to the fields of c, in the order of [Config]. This is the one description of each: the
// flags, the sample file, `config print` and the table in README.md are made from it.
func (c *Config) keys() []key {
	keys := c.brokerKeys()
	keys = append(keys,
		key{name: "admin.listen", field: textValue(&c.Admin.Listen),
			help: `Address of the HTTP server for probes, metrics and status; it asks for no password. "" means no server.`},
		key{name: "log.level", field: textValue(&c.Log.Level),
			help: "Lowest level that is logged: debug, info, warn or error."},
		key{name: "log.format", field: textValue(&c.Log.Format),
			help: "json for machines, console for people."},
	)
	return append(keys, c.relayKeys()...)
}

// sourceKeys lists the settings that a source can have of its own, as [Config.keys] does.
func (c *Config) sourceKeys() []key { return append(c.brokerKeys(), c.relayKeys()...) }

func (c *Config) brokerKeys() []key {
	postgres := &c.Postgres
	keys := []key{
		{name: "postgres.url", field: textValue(&postgres.URL), redact: RedactPostgres,
			help: "Connection string of the database with the outbox, as a URL or as host=... user=... dbname=... Set sslmode, or it may be unencrypted. Required."},
		{name: "postgres.max_conns", field: intValue(&postgres.MaxConns),
			help: "Most connections that the relay opens, 4 to 1000. It uses 4 while it leads and 1 while it stands by."},
	}
	return slices.Concat(keys, c.natsKeys(), c.redisKeys(), c.failoverKeys())
}

func (c *Config) failoverKeys() []key {
	f := &c.Failover
	return []key{
		{name: "failover.after", field: durationValue(&f.After),
			help: "How long NATS must have been unavailable before events go to Redis, at least 1s. Used where both are configured."},
		{name: "failover.failback_after", field: durationValue(&f.FailbackAfter),
			help: "How long NATS must have been healthy before events go there again, at least 1s."},
		{name: "failover.rehome", field: boolValue(&f.Rehome),
			help: "Whether NATS gets, when it is back, the events that only Redis got. Their rows are kept until then, also if Redis leaves the " +
				"configuration; false lets them go."},
	}
}

func (c *Config) relayKeys() []key {
	r := &c.Relay
	return []key{
		{name: "relay.batch_events", field: intValue(&r.BatchEvents), help: "Most events in a batch, 1 to 65536."},
		{name: "relay.batch_bytes", field: sizeValue(&r.BatchBytes),
			help: "Most bytes in a batch, 64KiB to 1GiB. The relay keeps at most three batches in memory."},
		{name: "relay.poll_interval", field: durationValue(&r.PollInterval),
			help: "Longest pause between two looks at an idle table where commits cannot wake the relay, 1ms to 1m."},
		{name: "relay.sweep_interval", field: durationValue(&r.SweepInterval),
			help: "Time between two safety sweeps for events behind the reader, at least 1s."},
		{name: "relay.retention", field: durationValue(&r.Retention),
			help: "How long acknowledged events are kept, to be sent again should the broker lose them, at least 1s; 0 deletes them at once."},
		{name: "relay.heal", field: textValue((*string)(&r.Heal)),
			help: "What is done when the stream has lost acknowledged events: auto sends the retained ones again, report only tells, " +
				"off leaves them."},
		{name: "relay.max_attempts", field: intValue(&r.MaxAttempts),
			help: "Attempts for an event that fails with an unknown error, before it becomes a dead letter; 0 means for ever. " +
				"An outage spends none."},
		{name: "relay.after_dead_letter", field: textValue((*string)(&r.AfterDeadLetter)),
			help: "What becomes of the later events of a dead letter's key: continue publishes them, hold lets them wait until it is " +
				"retried or discarded."},
		{name: "relay.backoff_min", field: durationValue(&r.BackoffMin), help: "Shortest pause after a failure, at least 1ms."},
		{name: "relay.backoff_max", field: durationValue(&r.BackoffMax),
			help: "Longest pause after a failure, at least relay.backoff_min."},
		{name: "relay.lease", field: durationValue(&r.Lease),
			help: "For how long the leading relay has the outbox to itself, 1s to 1m. It renews that meanwhile; if it dies, another one takes " +
				"over within this time and a second."},
		{name: "relay.shutdown_timeout", field: durationValue(&r.ShutdownTimeout),
			help: "Longest time that a clean stop may take, at least 100ms."},
	}
}

// sectionHelp says what each section is for.
var sectionHelp = map[string]string{
	"postgres": "The database with the outbox.",
	"mq":       "NATS JetStream. Without any mq key and any redis key, events are only logged and wait in Postgres, for development.",
	"redis":    "Redis Streams: the fallback of NATS, or the broker where mq.nats_url is empty.",
	"failover": "When Redis stands in for NATS. Used where both are configured.",
	"admin":    "The HTTP server for operators: /healthz, /readyz, /metrics, /api/v1/status.",
	"log":      "The log, written to standard error.",
	"relay":    "The engine.",
}

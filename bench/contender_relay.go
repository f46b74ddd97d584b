package main

import (
	"context"
	"net/url"
	"os/exec"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// defaultRetention is what the relay has when nobody sets it.
var defaultRetention = relay.DefaultConfig().Retention

// theRelay is outbox-relay as it is installed: the program, with its default configuration but for what the fields say.
type theRelay struct {
	label     string
	retention time.Duration
	redis     string // URL of the Redis that it publishes to; empty for NATS
}

func (r *theRelay) name() string { return r.label }

func (r *theRelay) empty(ctx context.Context, l *lab) error {
	_, err := l.pool.Exec(ctx, "truncate outbox.events, outbox.receipts, outbox.positions")
	return err
}

func (r *theRelay) insertSQL(w workload) string {
	return "insert into outbox.events (event_id, subject, key, payload) select id, subject, key, payload from (" + w.eventsSQL() + ") as event"
}

func (r *theRelay) start(ctx context.Context, l *lab) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	settings := []string{
		"OUTBOX_POSTGRES_URL=" + l.url, "OUTBOX_ADMIN_LISTEN=" + address, "OUTBOX_RELAY_RETENTION=" + r.retention.String(),
	}
	if r.redis == "" {
		settings = append(settings, "OUTBOX_MQ_NATS_URL="+l.o.nats, "OUTBOX_MQ_STREAM_NAME="+streamName)
	} else {
		server, err := url.Parse(r.redis)
		if err != nil {
			return nil, err
		}
		settings = append(settings, "OUTBOX_REDIS_HOST="+server.Hostname(), "OUTBOX_REDIS_PORT="+server.Port(), "OUTBOX_REDIS_STREAM="+redisStream)
	}
	cmd := exec.CommandContext(ctx, l.o.relay, "run") //nolint:gosec // the program that is to be measured
	cmd.Env = environment(settings...)
	return launch(ctx, cmd, answersReady(address))
}

func (r *theRelay) settled(ctx context.Context, l *lab, _ string) (bool, error) {
	b, err := relay.ReadBacklog(ctx, l.pool)
	return b.Events == 0, err
}

package main

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	wmsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/jackc/pgx/v5/pgxpool"
)

// watermillForwarder is Watermill's outbox: its forwarder between its SQL subscriber and its JetStream publisher, in the fastest
// configuration that its documentation knows: pgx, large batches, short polls, no creation of streams at each publish. The publisher
// of this version always waits for each acknowledgement.
type watermillForwarder struct{}

const (
	watermillTopic = "events"
	watermillBatch = 1000                 // the default is 100
	watermillPoll  = 2 * time.Millisecond // the default is 1 s
)

func (watermillForwarder) name() string { return "Watermill forwarder (SQL to JetStream)" }

func (watermillForwarder) schema() wmsql.DefaultPostgreSQLSchema {
	return wmsql.DefaultPostgreSQLSchema{SubscribeBatchSize: watermillBatch}
}

func (f watermillForwarder) empty(ctx context.Context, l *lab) error {
	subscriber, err := wmsql.NewSubscriber(wmsql.BeginnerFromPgx(l.pool), f.config(), watermill.NopLogger{})
	if err != nil {
		return err
	}
	defer func() { _ = subscriber.Close() }() // it has subscribed to nothing
	if err := subscriber.SubscribeInitialize(watermillTopic); err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, "truncate "+f.table()+", "+f.offsets())
	return err
}

func (f watermillForwarder) config() wmsql.SubscriberConfig {
	return wmsql.SubscriberConfig{SchemaAdapter: f.schema(), OffsetsAdapter: wmsql.DefaultPostgreSQLOffsetsAdapter{}, PollInterval: watermillPoll}
}

func (f watermillForwarder) table() string { return f.schema().MessagesTable(watermillTopic) }

func (watermillForwarder) offsets() string {
	return wmsql.DefaultPostgreSQLOffsetsAdapter{}.MessagesOffsetsTable(watermillTopic)
}

// insertSQL writes the envelope that the forwarder's own publisher would write.
func (f watermillForwarder) insertSQL(w workload) string {
	return `insert into ` + f.table() + ` (uuid, payload, metadata, transaction_id)
		select gen_random_uuid(), json_build_object('destination_topic', subject, 'uuid', id,
				'payload', translate(encode(payload, 'base64'), E'\n', ''),
				'metadata', json_build_object('` + headerKey + `', key, '` + headerSeq + `', i::text)),
			'{}', pg_current_xact_id()
		from (` + w.eventsSQL() + `) as event`
}

func (watermillForwarder) start(ctx context.Context, l *lab) (*process, error) {
	return l.startRival(ctx, rivalWatermill)
}

func (f watermillForwarder) settled(ctx context.Context, l *lab, _ string) (bool, error) {
	return l.asks(ctx, `select not exists (select from `+f.table()+` as event, `+f.offsets()+` as reached
		where (event.transaction_id, event."offset") > (reached.last_processed_transaction_id, reached.offset_acked))`)
}

func (f watermillForwarder) run(ctx context.Context, s rivalServers) error {
	pool, err := pgxpool.New(ctx, s.postgres)
	if err != nil {
		return err
	}
	defer pool.Close()
	subscriber, err := wmsql.NewSubscriber(wmsql.BeginnerFromPgx(pool), f.config(), watermill.NopLogger{})
	if err != nil {
		return err
	}
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{
		URL: s.nats, Marshaler: &wmnats.NATSMarshaler{}, JetStream: wmnats.JetStreamConfig{TrackMsgId: true},
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	relayed, err := forwarder.NewForwarder(subscriber, publisher, watermill.NopLogger{}, forwarder.Config{ForwarderTopic: watermillTopic})
	if err != nil {
		return err
	}
	go func() {
		<-relayed.Running()
		tellReady()
	}()
	return relayed.Run(ctx)
}

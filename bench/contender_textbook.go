package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// textbook is the relay of the textbooks: claim some rows with FOR UPDATE SKIP LOCKED, publish one after the other, each acknowledged,
// and mark them as published.
type textbook struct{}

const (
	textbookBatch = 100
	textbookPause = time.Millisecond // after a look that found nothing
)

func (textbook) name() string { return "textbook relay (claim, publish, mark)" }

func (textbook) empty(ctx context.Context, l *lab) error {
	_, err := l.pool.Exec(ctx, `create table if not exists textbook (
			id bigint generated always as identity primary key, event_id uuid not null, subject text not null, key text,
			payload bytea not null, created_at timestamptz not null default now(), published_at timestamptz);
		create index if not exists textbook_waiting on textbook (id) where published_at is null;
		truncate textbook`)
	return err
}

func (textbook) insertSQL(w workload) string {
	return "insert into textbook (event_id, subject, key, payload) select id, subject, key, payload from (" + w.eventsSQL() + ") as event"
}

func (textbook) start(ctx context.Context, l *lab) (*process, error) {
	return l.startRival(ctx, rivalTextbook)
}

func (textbook) settled(ctx context.Context, l *lab, _ string) (bool, error) {
	return l.asks(ctx, "select not exists (select from textbook where published_at is null)")
}

// run is the program.
func (textbook) run(ctx context.Context, s rivalServers) error {
	conn, js, err := s.connect(ctx)
	if err != nil {
		return err
	}
	tellReady()
	for ctx.Err() == nil {
		found := 0
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			found, err = publishClaimed(ctx, tx, js)
			return err
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if found == 0 {
			sleep(ctx, textbookPause)
		}
	}
	return nil
}

// row is an event as a rival reads it.
type row struct {
	id           int64
	eventID      string
	subject, key string
	payload      []byte
	createdAt    time.Time
}

func publishClaimed(ctx context.Context, tx pgx.Tx, js natsjs.JetStream) (int, error) {
	rows, err := tx.Query(ctx, `select id, event_id::text, subject, coalesce(key, ''), payload, created_at from textbook
		where published_at is null order by id limit $1 for update skip locked`, textbookBatch)
	if err != nil {
		return 0, err
	}
	claimed, err := pgx.CollectRows(rows, func(found pgx.CollectableRow) (r row, err error) {
		err = found.Scan(&r.id, &r.eventID, &r.subject, &r.key, &r.payload, &r.createdAt)
		return r, err
	})
	if err != nil {
		return 0, err
	}
	ids := make([]int64, len(claimed))
	for i, each := range claimed {
		if _, err := js.PublishMsg(ctx, each.message()); err != nil {
			return 0, err
		}
		ids[i] = each.id
	}
	if len(ids) > 0 {
		_, err = tx.Exec(ctx, "update textbook set published_at = now() where id = any ($1)", ids)
	}
	return len(ids), err
}

// message is the event as the relay would send it.
func (r row) message() *nats.Msg {
	m := nats.NewMsg(r.subject)
	m.Header[headerID] = []string{r.eventID}
	m.Header[headerKey] = []string{r.key}
	m.Header[headerSeq] = []string{strconv.FormatInt(r.id, 10)}
	m.Header[headerCreated] = []string{r.createdAt.UTC().Format(createdLayout)}
	m.Data = r.payload
	return m
}

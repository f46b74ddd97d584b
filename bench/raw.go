package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	rawPending = 4096 // unacknowledged events of the bare asynchronous client
	rawStall   = time.Minute
	rawFlow    = 500  // events between two acknowledgements of the bare fast-ingest client
	rawPage    = 1000 // rows of one read of the bare reader
)

// message returns the i-th event as a bare client sends it: with the dedup id and the headers that the relay sends too.
func (s *stand) message(i int, payload []byte) *nats.Msg {
	m := nats.NewMsg("game.player." + strconv.Itoa(i%1000) + ".moved")
	m.Header["Nats-Msg-Id"] = []string{uuid.NewString()}
	m.Header["Outbox-Key"] = []string{strconv.Itoa(i % 1000)}
	m.Header["Outbox-Seq"] = []string{strconv.Itoa(i)}
	m.Header["Outbox-Created-At"] = []string{"2026-01-02T03:04:05.678901Z"}
	m.Data = payload
	return m
}

func (s *stand) messages() []*nats.Msg {
	payload := make([]byte, s.o.size)
	all := make([]*nats.Msg, s.o.events)
	for i := range all {
		all[i] = s.message(i, payload)
	}
	return all
}

// perSecond is the rate of the run's events since began.
func (s *stand) perSecond(began time.Time) float64 {
	return float64(s.o.events) / time.Since(began).Seconds()
}

func (s *stand) rawFast(ctx context.Context) (float64, error) {
	stream, err := s.freshStream(ctx)
	if err != nil {
		return 0, err
	}
	all := s.messages()
	began := time.Now()
	p, err := jetstreamext.NewFastPublisher(s.js, jetstreamext.FastPublishFlowControl{Flow: rawFlow, MaxOutstandingAcks: 8})
	if err != nil {
		return 0, err
	}
	for _, m := range all[:len(all)-1] {
		if _, err := p.AddMsg(m); err != nil {
			return 0, err
		}
	}
	if _, err := p.CommitMsg(ctx, all[len(all)-1]); err != nil {
		return 0, err
	}
	rate := s.perSecond(began)
	return rate, s.requireStored(ctx, stream)
}

func (s *stand) rawAsync(ctx context.Context) (float64, error) {
	stream, err := s.freshStream(ctx)
	if err != nil {
		return 0, err
	}
	js, err := natsjs.New(s.nc, natsjs.WithPublishAsyncMaxPending(rawPending))
	if err != nil {
		return 0, err
	}
	all := s.messages()
	began := time.Now()
	for _, m := range all {
		if _, err := js.PublishMsgAsync(m, natsjs.WithStallWait(rawStall)); err != nil {
			return 0, err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	rate := s.perSecond(began)
	return rate, s.requireStored(ctx, stream)
}

// requireStored fails unless the stream holds every event once.
func (s *stand) requireStored(ctx context.Context, stream natsjs.Stream) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	if info.State.Msgs != uint64(s.o.events) {
		return fmt.Errorf("the stream holds %d events instead of %d", info.State.Msgs, s.o.events)
	}
	return nil
}

func (s *stand) rawRead(ctx context.Context) (float64, error) { return s.readRows(ctx, false) }

func (s *stand) rawReadDelete(ctx context.Context) (float64, error) { return s.readRows(ctx, true) }

// readRows reads the whole outbox by its primary key, page by page, and deletes each page if asked to.
func (s *stand) readRows(ctx context.Context, remove bool) (float64, error) {
	if err := s.fill(ctx); err != nil {
		return 0, err
	}
	began, head, read := time.Now(), int64(0), 0
	for read < s.o.events {
		ids, err := s.readPage(ctx, head)
		if err != nil {
			return 0, err
		}
		read += len(ids)
		head = ids[len(ids)-1]
		if remove {
			if _, err := s.pool.Exec(ctx, "delete from outbox.events where id = any ($1)", ids); err != nil {
				return 0, err
			}
		}
	}
	return s.perSecond(began), nil
}

func (s *stand) readPage(ctx context.Context, head int64) ([]int64, error) {
	rows, err := s.pool.Query(ctx, `select id, event_id, subject, key, payload, created_at
		from outbox.events where id > $1 order by id limit $2`, head, rawPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := make([]int64, 0, rawPage)
	var row struct {
		id           int64
		eventID      [16]byte
		subject, key string
		payload      []byte
		createdAt    time.Time
	}
	for rows.Next() {
		if err := rows.Scan(&row.id, &row.eventID, &row.subject, &row.key, &row.payload, &row.createdAt); err != nil {
			return nil, err
		}
		ids = append(ids, row.id)
	}
	if len(ids) == 0 && rows.Err() == nil {
		return nil, fmt.Errorf("no rows behind id %d", head)
	}
	return ids, rows.Err()
}

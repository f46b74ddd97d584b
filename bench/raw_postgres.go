package main

import (
	"context"
	"errors"
	"time"
)

// rawPage is how many rows the bare reader reads at once.
const rawPage = 1000

// rawRead is the least that a program can do which reads all events: page by page along the primary key.
func (l *lab) rawRead(ctx context.Context, w workload) (sample, error) {
	if err := l.fillTable(ctx, w); err != nil {
		return nil, err
	}
	began, head := time.Now(), int64(0)
	for read := 0; read < w.events; {
		n, last, err := l.readPage(ctx, head)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("rows are missing; does somebody else use this database?")
		}
		read, head = read+n, last
	}
	return sample{drained.name: float64(w.events) / time.Since(began).Seconds()}, nil
}

func (l *lab) readPage(ctx context.Context, head int64) (n int, last int64, err error) {
	rows, err := l.pool.Query(ctx, `select id, event_id::uuid, subject, coalesce(key, ''), payload, created_at
		from outbox.events where id > $1 order by id limit $2`, head, rawPage)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	var r struct {
		eventID      [16]byte
		subject, key string
		payload      []byte
		createdAt    time.Time
	}
	for rows.Next() {
		if err := rows.Scan(&last, &r.eventID, &r.subject, &r.key, &r.payload, &r.createdAt); err != nil {
			return 0, 0, err
		}
		n++
	}
	return n, last, rows.Err()
}

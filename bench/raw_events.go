package main

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// rawEvent is an event as the bare clients send it.
type rawEvent struct {
	id, subject, key, created, seq string
	payload                        []byte
}

// rawEvents are events in order; an error is the last of them.
type rawEvents = iter.Seq2[rawEvent, error]

// outOfNothing makes the events of a workload.
func (w workload) outOfNothing() rawEvents {
	return func(yield func(rawEvent, error) bool) {
		subjects := make(map[string]string) // by key
		e := rawEvent{created: time.Now().UTC().Format(createdLayout), payload: w.payload}
		for i := range w.events {
			e.id, e.key, e.seq = w.id(i), w.key(i), strconv.Itoa(i+1)
			var ok bool
			if e.subject, ok = subjects[e.key]; !ok {
				e.subject = "game.player." + e.key + ".moved"
				subjects[e.key] = e.subject
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// fromTable reads the events of the table, all with one query along the primary key, on which the pool keeps the planner, and takes the
// rows as they come.
func (l *lab) fromTable(ctx context.Context) rawEvents {
	return func(yield func(rawEvent, error) bool) {
		rows, err := l.pool.Query(ctx, `select id, event_id, subject, coalesce(key, ''), payload, created_at from outbox.events order by id`)
		if err != nil {
			yield(rawEvent{}, err)
			return
		}
		defer rows.Close()
		var e rawEvent
		var seq int64
		var id outbox.ID
		var created, last time.Time
		for rows.Next() {
			if err := rows.Scan(&seq, (*[16]byte)(&id), &e.subject, &e.key, &e.payload, &created); err != nil {
				yield(rawEvent{}, err)
				return
			}
			if !created.Equal(last) {
				e.created, last = created.UTC().Format(createdLayout), created
			}
			e.id, e.seq = id.String(), strconv.FormatInt(seq, 10)
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(rawEvent{}, err)
		}
	}
}

// fillTable puts the events of a workload into the relay's table while no relay runs.
func (l *lab) fillTable(ctx context.Context, w workload) error {
	c := &theRelay{}
	if err := c.empty(ctx, l); err != nil {
		return err
	}
	_, err := l.release(ctx, c, w, 0, w.events, func() usage { return nil })
	return err
}

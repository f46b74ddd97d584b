package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisStream reads a stream through a consumer group, in which the server remembers who was given what, until it is acknowledged.
type redisStream struct {
	work
	client            *redis.Client
	key, group, owner string

	early map[string]bool // keys with an event that waits for an earlier one
}

// read returns when the server or the stream is away, or ctx ends.
func (r *redisStream) read(ctx context.Context) error {
	err := r.client.XGroupCreate(ctx, r.key, r.group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return err // the relay makes the stream
	}
	var looked time.Time // at what was given out and not acknowledged
	for ctx.Err() == nil {
		if looked.IsZero() || len(r.early) > 0 && time.Since(looked) > earlyPause {
			r.early, looked = map[string]bool{}, time.Now()
			if err := r.again(ctx); err != nil {
				return err
			}
		}
		if _, err := r.page(ctx, ">"); err != nil {
			return err
		}
	}
	return nil
}

// again goes once through everything that this consumer was given and has not acknowledged, before and after a restart.
func (r *redisStream) again(ctx context.Context) error {
	for from := "0"; from != ""; {
		var err error
		if from, err = r.page(ctx, from); err != nil {
			return err
		}
	}
	return nil
}

// page handles the events after an id, in the order of the stream, and returns the id of the last one; with ">" those that nobody
// was given yet.
func (r *redisStream) page(ctx context.Context, from string) (last string, err error) {
	streams, err := r.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: r.group, Consumer: r.owner, Streams: []string{r.key, from}, Count: page, Block: time.Second,
	}).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", nil
	case err != nil:
		return "", err
	}
	var done []string
	for _, entry := range streams[0].Messages {
		last = entry.ID
		if r.handle(ctx, entry) {
			done = append(done, entry.ID)
		}
	}
	if len(done) == 0 {
		return last, nil
	}
	return last, r.client.XAck(ctx, r.key, r.group, done...).Err()
}

// handle reports whether the entry is to be acknowledged. Later events of a key wait behind one that is early.
func (r *redisStream) handle(ctx context.Context, entry redis.XMessage) bool {
	if len(entry.Values) == 0 {
		r.log.Error("an entry was trimmed before it was handled", "entry", entry.ID)
		return true
	}
	e, broken := fromRedis(entry.Values)
	if r.early[e.Key] && e.Key != "" {
		return false
	}
	if err := r.do(ctx, e, broken); err != nil {
		r.early[e.Key] = true
		return false
	}
	return true
}

package redisstream

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/gameoutbox/relay/relay"
)

// wait is the question, at the end of a window and through the same connection, who has what was sent before it.
type wait struct {
	replicas *redis.IntCmd      // WAIT
	disks    *redis.IntSliceCmd // WAITAOF
	cfg      Config
}

// queueWait asks what the settings say. Nothing is asked where the word of the primary is enough.
func (c Config) queueWait(ctx context.Context, pipe redis.Pipeliner) wait {
	w := wait{cfg: c}
	timeout := c.WaitTimeout.Milliseconds()
	switch {
	case c.WaitAOF:
		w.disks = redis.NewIntSliceCmd(ctx, "WAITAOF", 1, c.WaitReplicas, timeout)
		_ = pipe.Process(ctx, w.disks) // only queues it
	case c.WaitReplicas > 0:
		w.replicas = redis.NewIntCmd(ctx, "WAIT", c.WaitReplicas, timeout)
		_ = pipe.Process(ctx, w.replicas) // only queues it
	}
	return w
}

// asked tells whether the word of the primary is not enough.
func (w wait) asked() bool { return w.disks != nil || w.replicas != nil }

// answer returns the error of the question itself.
func (w wait) answer() error {
	switch {
	case w.disks != nil:
		return w.disks.Err()
	case w.replicas != nil:
		return w.replicas.Err()
	}
	return nil
}

// err returns nil if enough replicas and disks have what was sent. Otherwise the events are in the stream of the primary and
// may be lost with it, so they do not count as stored; sent again, they are duplicates.
func (w wait) err() error {
	if err := w.answer(); err != nil {
		return err
	}
	switch {
	case w.disks != nil:
		return w.checkDisks(w.disks.Val())
	case w.replicas != nil && int(w.replicas.Val()) < w.cfg.WaitReplicas:
		return fmt.Errorf("%w: %d of %d replicas had the events after redis.wait_timeout (%s); are the replicas up and connected?",
			relay.ErrUnavailable, w.replicas.Val(), w.cfg.WaitReplicas, w.cfg.WaitTimeout)
	}
	return nil
}

func (w wait) checkDisks(have []int64) error {
	if len(have) == 2 && have[0] >= 1 && int(have[1]) >= w.cfg.WaitReplicas {
		return nil
	}
	return fmt.Errorf("%w: the primary and %d replicas did not have the events on disk after redis.wait_timeout (%s), but %d and %d; "+
		"are the replicas up, and do they write append-only files (appendonly yes)?",
		relay.ErrUnavailable, w.cfg.WaitReplicas, w.cfg.WaitTimeout, have[:min(1, len(have))], have[min(1, len(have)):])
}

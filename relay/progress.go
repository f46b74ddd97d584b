package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// watchInterval is how often the loops of a leader are looked at.
	watchInterval = time.Second
	// memoryLimit is far more than a loop needs between two steps that ask a server.
	memoryLimit = 30 * time.Second
	// databaseLimit is more than any statement of a loop takes: walkTimeout ends the longest.
	databaseLimit = walkTimeout + memoryLimit
	// answersPerPublish is how often one Publish may wait for the broker, for a connection or for its next answer.
	answersPerPublish = 10
	// slowestPublish is the least rate at which a batch is expected to reach the broker, in bytes a second.
	slowestPublish = 64 << 10
	// defaultAnswerTimeout stands for [Options].AnswerTimeout where that is 0.
	defaultAnswerTimeout = 10 * time.Second
)

// errStalled ends the session of a leader one of whose loops stands still.
var errStalled = errors.New("a loop stands still")

// progress is the sign of life of one loop. The loop says before each step how long that takes at most. A nil progress is never
// looked at.
type progress struct {
	loop string

	mu    sync.Mutex
	step  uint64
	limit time.Duration // of the step under way; 0 while the loop has nothing to do, or waits for another loop
}

// work begins a step that ends within limit.
func (p *progress) work(limit time.Duration) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step++
	p.limit = limit
}

// idle says that the loop has nothing to do, or waits for another loop.
func (p *progress) idle() { p.work(0) }

func (p *progress) read() (step uint64, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.step, p.limit
}

// loops are the loops without which a leader publishes nothing.
type loops struct{ read, publish, settle, renew *progress }

func newLoops() *loops {
	return &loops{
		read: &progress{loop: "read"}, publish: &progress{loop: "publish"},
		settle: &progress{loop: "settle"}, renew: &progress{loop: "renew"},
	}
}

// watch looks at the loops until ctx ends, and calls stalled with the first one that stands still. It counts its own rounds and not
// the clock: a process that was paused, or that gets no processor, makes none meanwhile.
func (l *loops) watch(ctx context.Context, interval time.Duration, stalled func(loop string, limit time.Duration)) {
	all := []*progress{l.read, l.publish, l.settle, l.renew}
	seen, stood := make([]uint64, len(all)), make([]time.Duration, len(all))
	rounds := time.NewTicker(interval)
	defer rounds.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rounds.C:
		}
		for i, p := range all {
			step, limit := p.read()
			if step != seen[i] || limit == 0 {
				seen[i], stood[i] = step, 0
				continue
			}
			if stood[i] += interval; stood[i] > limit {
				stalled(p.loop, limit)
				return
			}
		}
	}
}

func stalledError(loop string, limit time.Duration) error {
	return fmt.Errorf("%w: %s, for more than %s", errStalled, loop, limit)
}

// publishLimit returns how long one Publish of a batch takes at most.
func publishLimit(cfg Config, answerTimeout time.Duration) time.Duration {
	if answerTimeout == 0 {
		answerTimeout = defaultAnswerTimeout
	}
	return answersPerPublish*answerTimeout + time.Duration(cfg.BatchBytes)*time.Second/slowestPublish
}

// watchedDB begins a step of a loop with each statement.
type watchedDB struct {
	Queryer
	progress *progress
}

// Query implements [Queryer].
func (w watchedDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	w.progress.work(databaseLimit)
	return w.Queryer.Query(ctx, sql, args...)
}

// Exec implements [Queryer].
func (w watchedDB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	w.progress.work(databaseLimit)
	return w.Queryer.Exec(ctx, sql, args...)
}

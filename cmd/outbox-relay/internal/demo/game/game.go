package game

import (
	"context"
	_ "embed"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
)

//go:embed schema.sql
var schema string

const (
	writers       = 8    // transactions at once
	players       = 100  // as many as schema.sql makes
	rollBackShare = 0.08 // of the transactions
	turnTimeout   = 20 * time.Second
	failurePause  = 100 * time.Millisecond
	patience      = 20 // failures of one writer in a row, after which it gives up
)

// Ledger is told what became of every event. [account.Account] is one.
type Ledger interface {
	Committed(at time.Time, events ...account.Event)
	RolledBack(events ...account.Event)
	InDoubt(events ...account.Event)
}

// Game plays on a database that has the outbox. Use [New].
type Game struct {
	pool    *pgxpool.Pool
	ledger  Ledger
	log     *zap.Logger
	limiter *rate.Limiter
	failed  atomic.Int64
}

// New makes the tables of the game and returns a game of about perSecond committed events a second.
func New(ctx context.Context, url string, perSecond int, ledger Ledger, log *zap.Logger) (*Game, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("game: %w", err)
	}
	cfg.MaxConns = writers
	cfg.ConnConfig.RuntimeParams["application_name"] = "outbox-relay demo game"
	cfg.ConnConfig.RuntimeParams["search_path"] = "pg_catalog, pg_temp" // a database that is given may have others in it
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("game: %w", err)
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("make the tables of the game: %w", err)
	}
	limiter := rate.NewLimiter(rate.Limit(perSecond), max(3, perSecond/20))
	return &Game{pool: pool, ledger: ledger, log: log, limiter: limiter}, nil
}

// Close gives the connections back. No Play may be under way.
func (g *Game) Close() { g.pool.Close() }

// Failed returns how many transactions failed that were not meant to.
func (g *Game) Failed() int64 { return g.failed.Load() }

// Play plays until ctx ends. Turns that were begun by then are finished. The error is that of a writer whose every turn fails.
func (g *Game) Play(ctx context.Context) error {
	var group errgroup.Group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range writers {
		group.Go(func() error {
			defer cancel()
			return g.write(ctx)
		})
	}
	return group.Wait()
}

// write plays turn after turn.
func (g *Game) write(ctx context.Context) error {
	for failures := 0; ; {
		t := newTurn()
		if !g.await(ctx, t) {
			return nil
		}
		err := g.playToTheEnd(ctx, t)
		if err == nil {
			failures = 0
			continue
		}
		g.failed.Add(1)
		g.log.Warn("a transaction of the game failed", zap.Error(err))
		if failures++; failures == patience {
			return fmt.Errorf("every transaction of the game fails: %w", err)
		}
		wait(ctx, failurePause)
	}
}

// await waits until the rate allows the turn. A turn that will be rolled back is free. It returns false when the game is over.
func (g *Game) await(ctx context.Context, t turn) bool {
	if t.rollBack {
		return ctx.Err() == nil
	}
	return g.limiter.WaitN(ctx, t.events) == nil
}

// playToTheEnd plays a turn that the end of the game does not interrupt.
func (g *Game) playToTheEnd(ctx context.Context, t turn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnTimeout)
	defer cancel()
	return g.play(ctx, t)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

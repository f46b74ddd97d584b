package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
)

// game is a workload whose outcome proves itself: each event carries the number that its key's counter got in the same
// transaction. So the events that were committed for a key are exactly 1, 2, 3 ... up to the counter, and any that is lost, doubled,
// out of order or rolled back shows as a break in the series.
type game struct {
	pool    *pgxpool.Pool
	keys    int
	subject string // what the subjects of its events begin with
	pad     int    // bytes added to each payload
	rough   bool   // the database goes away now and then: a failed transaction is no failure of the test
	plain   bool   // the server takes no prepared transactions
}

// move is the payload of an event of the game.
type move struct {
	Key string `json:"key"`
	N   int    `json:"n"`
	Pad string `json:"pad,omitempty"`
}

var errRollback = errors.New("rolled back on purpose")

// newGame makes the game's table in a database. The game has connections of its own, one for each of up to 16 writers.
func newGame(t testing.TB, db *harness.Database, keys int, subject string) *game {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	cfg.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), "create table if not exists counters (key text primary key, n int not null default 0)")
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "insert into counters (key) select 'k' || i from generate_series(1, $1) as i on conflict do nothing", keys)
	require.NoError(t, err)
	g := &game{pool: pool, keys: keys, subject: subject}
	require.NoError(t, pool.QueryRow(t.Context(), "select current_setting('max_prepared_transactions') = '0'").Scan(&g.plain))
	return g
}

// play makes one move in tx: it takes the lock of the key's row, counts, and writes the event.
func (g *game) play(ctx context.Context, tx pgx.Tx, key string) error {
	m := move{Key: key, Pad: strings.Repeat("x", g.pad)}
	if err := tx.QueryRow(ctx, "update counters set n = n + 1 where key = $1 returning n", key).Scan(&m.N); err != nil {
		return err
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return outbox.Publish(ctx, tx, outbox.Raw{Subject: g.subject + "." + key, Key: key, Payload: payload})
}

func (g *game) randomKey() string { return fmt.Sprintf("k%d", 1+rand.IntN(g.keys)) }

// turn runs one random transaction of the game: most commit, some roll back, some use savepoints, some are prepared where
// the server takes that.
func (g *game) turn(ctx context.Context) error {
	switch dice := rand.IntN(100); {
	case dice < 60:
		return g.transact(ctx, 1+rand.IntN(3), nil)
	case dice < 75:
		return g.transact(ctx, 1+rand.IntN(3), errRollback)
	case dice < 90 || g.plain || g.rough: // a prepared transaction that nobody ends would block its keys for ever
		return g.savepoints(ctx)
	default:
		return g.prepared(ctx)
	}
}

// transact makes some moves in one transaction, in the order of keys so that transactions do not deadlock, and up to three
// with each key, a statement each.
func (g *game) transact(ctx context.Context, keys int, end error) error {
	err := pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		for i := range keys {
			key := g.nthKey(i, keys)
			for range 1 + rand.IntN(3) {
				if err := g.play(ctx, tx, key); err != nil {
					return err
				}
			}
		}
		if err := linger(ctx, tx); err != nil {
			return err
		}
		return end
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return err
}

// nthKey returns a random key of the i-th of n ranges of keys, so that a transaction locks in one direction only.
func (g *game) nthKey(i, n int) string {
	width := g.keys / n
	return fmt.Sprintf("k%d", 1+i*width+rand.IntN(max(1, width)))
}

// linger keeps a transaction open for up to 20 ms, now and then.
func linger(ctx context.Context, session outbox.DB) error {
	if rand.IntN(4) > 0 {
		return nil
	}
	_, err := session.Exec(ctx, "select pg_sleep($1)", rand.Float64()/50)
	return err
}

func (g *game) savepoints(ctx context.Context) error {
	return pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		if err := g.play(ctx, tx, g.nthKey(0, 3)); err != nil {
			return err
		}
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			if err := g.play(ctx, inner, g.nthKey(1, 3)); err != nil {
				return err
			}
			return errRollback
		})
		if !errors.Is(err, errRollback) {
			return err
		}
		return g.play(ctx, tx, g.nthKey(2, 3))
	})
}

func (g *game) prepared(ctx context.Context) error {
	conn, err := g.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := g.play(ctx, tx, g.randomKey()); err != nil {
		_ = tx.Rollback(ctx)
		return err
	}
	name := fmt.Sprintf("game-%d", rand.Uint64())
	if _, err := tx.Exec(ctx, fmt.Sprintf("prepare transaction '%s'", name)); err != nil {
		return err
	}
	if err := linger(ctx, conn); err != nil {
		return err
	}
	verb := "commit"
	if rand.IntN(3) == 0 {
		verb = "rollback"
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("%s prepared '%s'", verb, name))
	return err
}

// run plays with some writers at once until the time is over.
func (g *game) run(t testing.TB, writers int, lasting time.Duration) {
	t.Helper()
	stop := g.start(t, writers)
	<-time.After(lasting) // the load's length, not a condition
	stop()
}

// start plays with some writers at once until stop is called, which returns when all transactions have ended.
func (g *game) start(t testing.TB, writers int) (stop func()) {
	t.Helper()
	return keepPlaying(t, writers, func(ctx context.Context) error {
		if err := g.turn(ctx); !g.rough {
			return err
		}
		return nil
	})
}

// keepPlaying takes turns with some writers at once until stop is called, which returns when all of them have ended. A turn that fails is a
// failure of the test.
func keepPlaying(t testing.TB, writers int, turn func(context.Context) error) (stop func()) {
	t.Helper()
	var over atomic.Bool
	var playing sync.WaitGroup
	for range writers {
		playing.Go(func() {
			for !over.Load() {
				if err := turn(t.Context()); err != nil {
					t.Errorf("a transaction failed: %v", err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { over.Store(true); playing.Wait() })
	t.Cleanup(stop)
	return stop
}

// committed returns how many events of each key were committed.
func (g *game) committed(t testing.TB) map[string]int {
	t.Helper()
	rows, err := g.pool.Query(t.Context(), "select key, n from counters where n > 0")
	require.NoError(t, err)
	counts := make(map[string]int)
	var key string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&key, &n}, func() error {
		counts[key] = n
		return nil
	})
	require.NoError(t, err)
	return counts
}

// requireWhole fails unless got, the moves in the order of the stream, are exactly what was committed: nothing lost, nothing
// twice, each key in order, nothing that was rolled back.
func (g *game) requireWhole(t testing.TB, got []move) {
	t.Helper()
	next := make(map[string]int)
	for _, m := range got {
		next[m.Key]++
		if !assert.Equal(t, next[m.Key], m.N, "key %s: the series breaks", m.Key) {
			next[m.Key] = m.N
		}
		if t.Failed() {
			return
		}
	}
	require.Equal(t, g.committed(t), next)
}

package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// TestOrderWithinATransaction writes without pauses, several events of one key in each transaction, a statement each. A
// commit is visible before its locks go, so a writer can commit between any two statements of the reader and still be
// listed. The locks go in another order where a transaction holds more than the 16 that a backend keeps to itself.
// With small batches a read of what was late is often cut short, beside new events that wait for the rest of it.
// The test has the server and the machine for itself, for it needs many transactions.
func TestOrderWithinATransaction(t *testing.T) {
	for _, fsync := range []string{"off", "on"} {
		for _, tables := range []int{0, 20} {
			batches := []int{relay.DefaultConfig().BatchEvents}
			if tables > 0 {
				batches = append(batches, 6)
			}
			for _, batch := range batches {
				t.Run(fmt.Sprintf("fsync %s, %d tables locked, batches of %d", fsync, tables, batch), func(t *testing.T) {
					requireOrderWithinTransactions(t, fsync, tables, batch)
				})
			}
		}
	}
}

func requireOrderWithinTransactions(t *testing.T, fsync string, tables, batch int) {
	t.Helper()
	server := harness.StartPostgres(t, harness.PostgresOptions{Settings: map[string]string{"fsync": fsync}})
	db := server.Database(t)
	g := newGame(t, db, 200, "game")
	lock := createTables(t, db.Pool, tables)
	broker := &memory{}
	startRelay(t, db.URL, broker, func(c *relay.Config) { c.BatchEvents = batch })
	stop := keepPlaying(t, 8, func(ctx context.Context) error { return writeSeveral(ctx, g, lock) })
	<-time.After(8 * time.Second) // the load's length, not a condition
	stop()
	requireSettled(t, db.Pool)
	t.Logf("%d events", broker.count())
	g.requireWhole(t, broker.moves(t))
}

// createTables creates empty tables and returns a statement that takes a lock on each.
func createTables(t *testing.T, pool *pgxpool.Pool, n int) string {
	t.Helper()
	if n == 0 {
		return "select"
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("held_%d", i)
		_, err := pool.Exec(t.Context(), "create table "+names[i]+" ()")
		require.NoError(t, err)
	}
	return "lock table " + strings.Join(names, ", ") + " in access share mode"
}

// writeSeveral runs one transaction that writes one to four events of a key: by outbox.publish_bytes and by plain SQL.
func writeSeveral(ctx context.Context, g *game, lock string) error {
	key := g.randomKey()
	count := fmt.Sprintf("with next as (update counters set n = n + 1 where key = '%s' returning n) ", key)
	payload := fmt.Sprintf(`convert_to(format('{"key": "%s", "n": %%s}', n), 'UTF8')`, key)
	statements := []string{"begin", lock}
	for range 1 + rand.IntN(4) {
		insert := fmt.Sprintf("insert into outbox.events (subject, key, payload) select 'game.x', '%s', %s from next", key, payload)
		if rand.IntN(2) == 0 {
			insert = fmt.Sprintf("select outbox.publish_bytes('game.x', %s, '%s') from next", payload, key)
		}
		statements = append(statements, count+insert)
	}
	end := "commit"
	if rand.IntN(10) == 0 {
		end = "rollback"
	}
	conn, err := g.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, statement := range append(statements, end) {
		if _, err := conn.Conn().PgConn().Exec(ctx, statement).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

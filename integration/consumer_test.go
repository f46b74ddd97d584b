package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
)

// consumer is the example of docs/CONSUMERS.md as its users run it, with a database of its own.
type consumer struct {
	t      testing.TB
	db     *harness.Database
	path   string
	args   []string
	output strings.Builder
	cmd    *exec.Cmd
}

func newConsumer(t testing.TB, args ...string) *consumer {
	t.Helper()
	c := &consumer{t: t, db: harness.EmptyPostgres(t), path: harness.BuildConsumer(t)}
	c.args = append([]string{"-database", c.db.URL}, args...)
	t.Cleanup(c.kill)
	return c
}

// both returns the arguments for a consumer of both brokers.
func (p *pair) both() []string {
	return []string{"-nats", p.nats.URL, "-stream", p.s.name, "-redis", p.redis.client.Options().Addr, "-redis-stream", p.redis.key}
}

func (c *consumer) start() {
	c.t.Helper()
	c.cmd = exec.CommandContext(context.WithoutCancel(c.t.Context()), c.path, c.args...)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	require.NoError(c.t, c.cmd.Start())
}

// kill ends the process as kill -9 does.
func (c *consumer) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // it was killed
		c.cmd = nil
	}
}

// stop ends it as an operator does.
func (c *consumer) stop() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(c.t, c.cmd.Wait(), "%s", &c.output)
	c.cmd = nil
}

// rewards returns the levels that each player was rewarded for, in the order in which that happened.
func (c *consumer) rewards() map[int64][]int {
	c.t.Helper()
	rows, err := c.db.Pool.Query(c.t.Context(), "select player_id, level from rewards order by id")
	require.NoError(c.t, err)
	rewards := map[int64][]int{}
	var player int64
	var level int
	_, err = pgx.ForEachRow(rows, []any{&player, &level}, func() error {
		rewards[player] = append(rewards[player], level)
		return nil
	})
	require.NoError(c.t, err)
	return rewards
}

// count returns how many rewards there are; 0 before the consumer has made the table.
func (c *consumer) count() (n int) {
	_ = c.db.Pool.QueryRow(context.WithoutCancel(c.t.Context()), "select count(*) from rewards").Scan(&n)
	return n
}

// requireMore waits until the consumer has done more.
func (c *consumer) requireMore() {
	c.t.Helper()
	before := c.count()
	require.Eventually(c.t, func() bool { return c.count() > before+10 }, time.Minute, 20*time.Millisecond, "the consumer does nothing: %s", &c.output)
}

// said returns the sum of a number that the consumer has logged at its stops for a broker.
func (c *consumer) said(broker, name string) (sum int) {
	c.t.Helper()
	for _, found := range regexp.MustCompile(`msg=stopped broker=`+broker+` .*`+name+`=(\d+)`).FindAllStringSubmatch(c.output.String(), -1) {
		n, err := strconv.Atoi(found[1])
		require.NoError(c.t, err)
		sum += n
	}
	return sum
}

// levels is a game in which players rise, each by one level at a time.
type levels struct {
	pool    *pgxpool.Pool
	players int
	subject string
}

func newLevels(t testing.TB, db *harness.Database, players int, subject string) levels {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), "create table players (id bigint primary key, level int not null default 0)")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "insert into players (id) select i from generate_series(1, $1::int) as i", players)
	require.NoError(t, err)
	return levels{pool: db.Pool, players: players, subject: subject}
}

// up lets a player rise, or fails to.
func (g levels) up(ctx context.Context) error {
	player := 1 + rand.IntN(g.players)
	err := pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		var level int
		if err := tx.QueryRow(ctx, "update players set level = level + 1 where id = $1 returning level", player).Scan(&level); err != nil {
			return err
		}
		payload, err := json.Marshal(map[string]int{"player_id": player, "level": level})
		if err != nil {
			return err
		}
		err = outbox.Publish(ctx, tx, outbox.Raw{
			Subject: g.subject + ".player.level_up", Key: fmt.Sprint("player:", player), Payload: payload, Headers: map[string]string{"tenant": "eu"},
		})
		if err == nil && rand.IntN(10) == 0 {
			err = errRollback
		}
		return err
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return err
}

// start plays with some writers at once until stop is called.
func (g levels) start(t testing.TB, writers int) (stop func()) {
	t.Helper()
	return keepPlaying(t, writers, func(ctx context.Context) error {
		err := g.up(ctx)
		<-time.After(20 * time.Millisecond) // a rate that the consumer can follow
		return err
	})
}

// requireRewarded waits until the consumer has done everything, and checks that it did so once and in order.
func (g levels) requireRewarded(t testing.TB, c *consumer) {
	t.Helper()
	var want int
	require.NoError(t, g.pool.QueryRow(t.Context(), "select sum(level) from players").Scan(&want))
	require.Eventually(t, func() bool { return c.count() >= want }, 2*time.Minute, 50*time.Millisecond,
		"the consumer has done %d of %d: %s", c.count(), want, &c.output)
	require.Equal(t, want, c.count(), "an event had its effect twice")
	for player, levels := range c.rewards() {
		for i, level := range levels {
			require.Equal(t, i+1, level, "player %d", player)
		}
	}
}

// TestOneConsumerOfBothBrokers kills JetStream under load, and the consumer in every phase: each event has its effect once, in order.
// What JetStream had not delivered when it was killed holds up its players until JetStream is back, and nobody else.
func TestOneConsumerOfBothBrokers(t *testing.T) {
	t.Parallel()
	p := newPair(t, harness.Redis(t), "consumed")
	c := newConsumer(t, p.both()...)
	g := newLevels(t, p.db, 300, p.s.subject)
	c.start() // before there is any stream
	p.start()
	p.await(false)
	stopGame := g.start(t, 2)
	restart := func(end func()) {
		c.requireMore()
		end()
		c.start()
		c.requireMore()
	}
	restart(c.kill) // on JetStream
	for _, end := range []func(){c.kill, c.stop} {
		require.Eventually(t, func() bool { n := p.s.unacknowledged("rewards"); return n >= 0 && n < 50 }, time.Minute, 20*time.Millisecond,
			"the consumer cannot follow: %s", &c.output)
		p.nats.Kill()
		p.await(true)
		restart(end) // on Redis
		p.nats.Start()
		p.await(false)
		restart(end) // while events come again
	}
	stopGame()
	p.requireRehomed()
	g.requireRewarded(t, c)
	require.Eventually(t, func() bool { return c.acknowledged(p) }, time.Minute, 50*time.Millisecond, "something is not acknowledged")
	c.stop()
	require.Positive(t, c.said("jetstream", "rehomed"))
	require.Positive(t, c.said("jetstream", "seen_before"))
	require.Positive(t, c.said("redis", "handled"))
	require.NotContains(t, c.output.String(), "left out for good")
	t.Logf("%d events; those that were not killed handled %d of JetStream and %d of Redis, and had seen %d and %d before", c.count(),
		c.said("jetstream", "handled"), c.said("redis", "handled"), c.said("jetstream", "seen_before"), c.said("redis", "seen_before"))
	p.stop()
}

// acknowledged reports whether both brokers believe that the consumer has done everything.
func (c *consumer) acknowledged(p *pair) bool {
	pending, err := p.redis.client.XPending(c.t.Context(), p.redis.key, "rewards").Result()
	return err == nil && pending.Count == 0 && p.s.unacknowledged("rewards") == 0
}

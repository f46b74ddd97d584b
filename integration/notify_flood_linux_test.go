package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// flooder is a session of a role without any right, which may notify all the same.
func flooder(t *testing.T, db *harness.Database) (*pgx.Conn, role) {
	t.Helper()
	anybody := newRole(t, db)
	conn, err := pgx.Connect(t.Context(), anybody.url+"&application_name=flood")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn, anybody
}

// names reports whether one of the warnings names a session.
func names(warnings []string, conn *pgx.Conn, r role) bool {
	return slices.ContainsFunc(warnings, func(w string) bool {
		pid := strconv.Itoa(int(conn.PgConn().PID()))
		return strings.Contains(w, pid) && strings.Contains(w, r.name) && strings.Contains(w, `"flood"`)
	})
}

// TestAFloodOfNotificationsCostsALeaderLittle whoever sends it. Events keep flowing, and the sender is named.
func TestAFloodOfNotificationsCostsALeaderLittle(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	flood, anybody := flooder(t, db)
	broker := &memory{}
	r := startRelay(t, db.URL, broker, hardlyPolls)
	requireAsleep(t, db)
	looks := func() (n int) { // each reads the table by its primary key
		t.Helper()
		require.NoError(t, db.Pool.QueryRow(t.Context(),
			"select idx_scan from pg_stat_user_tables where relid = 'outbox.events'::regclass").Scan(&n))
		return n
	}
	before, sent := looks(), 0
	for began := time.Now(); time.Since(began) < 5*time.Second; sent++ {
		_, err := flood.Exec(t.Context(), "notify outbox_events")
		require.NoError(t, err)
	}
	require.Greater(t, sent, 500)
	require.Less(t, looks()-before, 400, "%d notifications", sent)
	isNamed := func() bool { return names(r.Status().Warnings, flood, anybody) }
	require.Eventually(t, isNamed, 10*time.Second, 10*time.Millisecond, "%v", r.Status().Warnings)
	require.True(t, r.Status().Ready)
}

// TestAFloodOfNotificationsDelaysNoEvent that is written meanwhile by more than the poll interval,
// and writers who notify with each event are not taken for one.
func TestAFloodOfNotificationsDelaysNoEvent(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	flood, anybody := flooder(t, db)
	broker := &memory{}
	r := startRelay(t, db.URL, broker, nil)
	requireAsleep(t, db)
	for i := range 200 {
		publishOne(t, db, "game.honest")
		if i%10 == 0 {
			requireAsleep(t, db)
		}
	}
	broker.soon(t, 200)
	requireAsleep(t, db)
	require.Empty(t, r.Status().Warnings)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_, _ = flood.Exec(ctx, "notify outbox_events")
		}
	}()
	isNamed := func() bool { return names(r.Status().Warnings, flood, anybody) }
	require.Eventually(t, isNamed, 20*time.Second, 10*time.Millisecond)
	for i := range 20 {
		publishOne(t, db, "game.beside")
		broker.soon(t, 201+i)
	}
	stop()
	<-ended
	require.Eventually(t, func() bool { return len(r.Status().Warnings) == 0 }, 3*time.Minute, 100*time.Millisecond)
	requireAsleep(t, db)
}

// TestALargeFloodOfNotificationsTakesNoMemory of a leader, nor of a standby: each is sent 200 MB at once.
func TestALargeFloodOfNotificationsTakesNoMemory(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	env, subject := ownStream(t, harness.NATS(t))
	c := newCLI(t, db.URL, env...)
	leader := c.start(t)
	leader.requireLeads(t)
	standby := c.start(t)
	standby.await(t, "another relay leads")
	requireAsleep(t, db)
	flood, anybody := flooder(t, db)
	send := func(notifications int) {
		t.Helper()
		for _, channel := range []string{"outbox_events", "outbox_lease"} {
			_, err := flood.Exec(t.Context(), fmt.Sprintf(
				"select count(pg_notify('%s', repeat('x', 7900) || i)) from generate_series(1, %d) as i", channel, notifications))
			require.NoError(t, err)
		}
	}
	send(25_000)
	c.mustRun(t, "publish", subject+".x")
	requireSettled(t, db.Pool)
	for name, p := range map[string]*relayProcess{"leader": leader, "standby": standby} {
		require.Eventually(t, func() bool {
			send(200) // what came together with an event is none that came without
			_, body := p.get(t, "/api/v1/status")
			return names(statusOf(body, "default").Warnings, flood, anybody)
		}, cliTimeout, 20*time.Millisecond, name)
		t.Logf("%s: %d KiB", name, highWater(t, p.cmd.Process.Pid))
		require.Less(t, highWater(t, p.cmd.Process.Pid), 96<<10, "KiB, %s", name)
		code, body := p.get(t, "/readyz")
		require.Equal(t, http.StatusOK, code, body)
	}
	line := leader.await(t, "event notifications flood")
	require.Contains(t, line["session"], anybody.name)
	text, err := json.Marshal(line)
	require.NoError(t, err)
	require.NotContains(t, string(text), "xxxx")
}

package integration_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// TestSecretsAreReadAtEachConnection gives Postgres and Redis new passwords while a relay runs, and cuts its connections.
func TestSecretsAreReadAtEachConnection(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	role := newRelayRole(t, db)
	cache := harness.StartRedis(t, harness.RedisOptions{Args: []string{"--requirepass", "outbox"}})
	at, err := url.Parse(cache.URL)
	require.NoError(t, err)
	admin := redis.NewClient(&redis.Options{Addr: at.Host, Password: "outbox"})
	t.Cleanup(func() { _ = admin.Close() })
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "new"), []byte(text+"\n"), 0o600))
		require.NoError(t, os.Rename(filepath.Join(folder, "new"), filepath.Join(folder, name)))
	}
	write("postgres", role.url)
	write("redis", "outbox")
	p := newIdleProcess(t)
	p.env = append(p.env, "OUTBOX_POSTGRES_URL_FILE="+folder+"/postgres", "OUTBOX_REDIS_PASSWORD_FILE="+folder+"/redis", "OUTBOX_RELAY_LEASE=2s",
		"OUTBOX_REDIS_HOST="+at.Hostname(), "OUTBOX_REDIS_PORT="+at.Port())
	p.start()
	requirePublished := func(n int64) {
		t.Helper()
		publishOne(t, db, "game.secret")
		require.Eventually(t, func() bool { return admin.XLen(t.Context(), "game:events").Val() == n }, 60*time.Second, 20*time.Millisecond, "%s", &p.output)
		requireSettled(t, db.Pool)
	}
	requirePublished(1)

	rotate := func(password string) {
		t.Helper()
		run(t, db.Pool, "alter role "+role.quoted()+" password '"+password+"'")
		run(t, db.Pool, "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", role.name)
		require.NoError(t, admin.ConfigSet(t.Context(), "requirepass", password).Err())
		require.NoError(t, admin.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
	}
	write("postgres", strings.Replace(role.url, ":outbox@", ":hunter2@", 1))
	write("redis", "hunter2")
	rotate("hunter2")
	requirePublished(2)

	require.NoError(t, os.Remove(folder+"/postgres"))
	rotate("hunter3")
	require.Eventually(t, func() bool {
		return strings.Contains(p.status().NotReady, "postgres.url_file is "+folder+"/postgres, which cannot be read")
	},
		60*time.Second, 20*time.Millisecond, "%s", &p.output)
	write("redis", "hunter3")
	write("postgres", strings.Replace(role.url, ":outbox@", ":hunter3@", 1))
	requirePublished(3)
	p.stop()
}

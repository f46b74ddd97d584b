package harness_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestDatabasesOfTestsAreApart(t *testing.T) {
	t.Parallel()
	first, second := harness.EmptyPostgres(t), harness.EmptyPostgres(t)
	execute(t, first.URL, "CREATE TABLE mine (id int)")
	require.True(t, hasTable(t, first, "mine"))
	require.False(t, hasTable(t, second, "mine"))
}

func TestDatabaseIsDroppedAfterItsTest(t *testing.T) {
	t.Parallel()
	var url string
	var stranger *pgx.Conn
	t.Run("user", func(t *testing.T) {
		var err error
		url = harness.EmptyPostgres(t).URL
		stranger, err = pgx.Connect(t.Context(), url)
		require.NoError(t, err)
	})
	require.Error(t, stranger.Ping(t.Context()), "a connection that a test forgot is cut")
	_, err := pgx.Connect(t.Context(), url)
	require.ErrorContains(t, err, "does not exist")
}

func TestPostgresIsMigrated(t *testing.T) {
	t.Parallel()
	require.True(t, hasTable(t, harness.Postgres(t), "outbox.events"))
	require.False(t, hasTable(t, harness.EmptyPostgres(t), "outbox.events"))
}

func TestPostgresKeepsDataAndAddress(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{Settings: map[string]string{"max_connections": "40"}})
	db := server.Database(t)
	require.Equal(t, "40", scan[string](t, db, "SHOW max_connections"))
	execute(t, db.URL, "CREATE TABLE kept (step text)")
	for _, breakage := range breakages(server.Server) {
		execute(t, db.URL, "INSERT INTO kept VALUES ($1)", breakage.name)
		breakage.begin()
		require.Error(t, dialPostgres(t.Context(), db.URL), breakage.name)
		breakage.end()
	}
	db.Pool.Reset()
	require.Equal(t, int64(4), scan[int64](t, db, "SELECT count(*) FROM kept"))
	require.Contains(t, server.Log(), "database system is ready to accept connections")
}

func TestPausedServerIsRemoved(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("user", func(t *testing.T) {
		server := harness.StartPostgres(t, harness.PostgresOptions{})
		url = server.URL
		server.Pause()
	})
	require.ErrorContains(t, dialPostgres(t.Context(), url), "connection refused")
}

// execute uses a connection of its own, for those of a pool may be dead and not know it.
func execute(t *testing.T, url, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func scan[T any](t *testing.T, db *harness.Database, query string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), query, args...).Scan(&value))
	return value
}

func hasTable(t *testing.T, db *harness.Database, name string) bool {
	t.Helper()
	return scan[bool](t, db, "SELECT to_regclass($1) IS NOT NULL", name)
}

func dialPostgres(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

package throwaway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// guard notes what it was told.
type guard struct {
	mu         sync.Mutex
	data       string
	containers []string
}

func (g *guard) Postgres(dir string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.data = dir
	return nil
}

func (g *guard) Container(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.containers = append(g.containers, name)
	return nil
}

// sharedDirectory is a directory that the unprivileged user of a test run as root may enter, which t.TempDir is not.
func sharedDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "throwaway-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func options(t *testing.T) (Options, *guard) {
	t.Helper()
	g := &guard{}
	return Options{Directory: sharedDirectory(t), Getenv: os.Getenv, Guard: g, Say: t.Logf}, g
}

// start starts what the machine has: server programs, else Docker.
func start(t *testing.T) *Server {
	t.Helper()
	o, g := options(t)
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Stop(context.Background())) })
	assert.True(t, g.data != "" || len(g.containers) > 0, "the guard was told what to clean up")
	return s
}

func TestStartGivesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	s := start(t)
	conn, err := pgx.Connect(t.Context(), s.URL)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var version string
	var tables int
	require.NoError(t, conn.QueryRow(t.Context(), `select current_setting('server_version'),
		(select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema'))`).Scan(&version, &tables))
	assert.Equal(t, version, s.Version)
	assert.Zero(t, tables)
}

func TestStartWantsThePassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	config, err := pgx.ParseConfig(s.URL)
	require.NoError(t, err)
	config.Password = "guess"
	_, err = pgx.ConnectConfig(t.Context(), config)
	assert.ErrorContains(t, err, "password authentication failed")
}

func TestStopEndsTheServer(t *testing.T) {
	t.Parallel()
	o, _ := options(t)
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, s.Stop(context.Background()))
	_, err = pgx.Connect(t.Context(), s.URL)
	assert.Error(t, err)
	assert.NoFileExists(t, filepath.Join(o.Directory, "postgres", "data", "postmaster.pid"))
}

func TestGivenServer(t *testing.T) {
	t.Parallel()
	outer := start(t)
	o, _ := options(t)
	o.URL = outer.URL
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	assert.NotEqual(t, outer.URL, s.URL)

	conn, err := pgx.Connect(t.Context(), s.URL)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var database string
	require.NoError(t, conn.QueryRow(t.Context(), "select current_database()").Scan(&database))
	assert.Regexp(t, `^outbox_demo_[a-z0-9]{12}$`, database)

	require.NoError(t, s.Stop(context.Background()), "although a client is still connected")
	_, err = pgx.Connect(t.Context(), s.URL)
	assert.ErrorContains(t, err, "does not exist")
}

func TestGivenServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	o, _ := options(t)
	port, err := freePort()
	require.NoError(t, err)
	o.URL = "postgres://u:secret@127.0.0.1:" + port + "/x"
	_, err = Start(t.Context(), o)
	require.ErrorContains(t, err, "--postgres-url")
	assert.NotContains(t, err.Error(), "secret")
}

func TestStartThatIsCancelled(t *testing.T) {
	t.Parallel()
	o, _ := options(t)
	stopped := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	o.Say = func(string, ...any) { cancel(stopped) }
	_, err := Start(ctx, o)
	assert.ErrorIs(t, err, stopped)
}

func TestWithoutPassword(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://u:secret@h:5/d?sslmode=disable": "postgres://u@h:5/d?sslmode=disable",
		"postgres://h/d?user=u&password=secret":     "postgres://h/d?user=u",
		"postgres://h/d":                            "postgres://h/d",
		"host=h password=secret dbname=d":           "host=h dbname=d",
		`host=h password = 'a secr\'et' dbname=d`:   "host=h dbname=d",
		"host=h PASSWORD=secret":                    "host=h ",
		"host=h user=u":                             "host=h user=u",
	} {
		assert.Equal(t, want, withoutPassword(given))
	}
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://u:p@h:5/old?sslmode=disable":              "postgres://u:p@h:5/new?sslmode=disable",
		"postgresql://u@h":                                    "postgresql://u@h/new",
		"postgres://u@h/?dbname=old&sslmode=require":          "postgres://u@h/new?sslmode=require",
		"host=h user=u dbname=old":                            "host=h user=u dbname=old dbname=new",
		"postgres://u:p@a:1,b:2/old?target_session_attrs=any": "postgres://u:p@a:1,b:2/new?target_session_attrs=any",
	} {
		got, err := withDatabase(given, "new")
		require.NoError(t, err, given)
		assert.Equal(t, want, got)
		config, err := pgx.ParseConfig(got)
		require.NoError(t, err, got)
		assert.Equal(t, "new", config.Database, got)
	}
}

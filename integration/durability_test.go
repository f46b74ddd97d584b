package integration_test

import (
	"maps"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
)

// TestAnEventThatPostgresForgetsWasNeverPublished kills a server right after events of asynchronous commits were
// published. The server writes such commits to disk seconds later, unless it is asked to.
func TestAnEventThatPostgresForgetsWasNeverPublished(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct {
		settings map[string]string
		session  string
	}{
		"by the server":  {settings: map[string]string{"synchronous_commit": "off"}},
		"by the session": {session: "set synchronous_commit = off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{"wal_writer_delay": "10s"}
			maps.Copy(settings, how.settings)
			server := harness.StartPostgres(t, harness.PostgresOptions{Settings: settings})
			db := server.Database(t)
			writer, err := pgx.Connect(t.Context(), db.URL)
			require.NoError(t, err)
			defer writer.Close(t.Context())
			_, err = writer.Exec(t.Context(), how.session)
			require.NoError(t, err)
			broker := &memory{}
			_, stop := runRelay(t, db.URL, broker, nil)
			defer stop()
			const events = 5
			for range events {
				before := broker.count()
				require.NoError(t, pgx.BeginFunc(t.Context(), writer, func(tx pgx.Tx) error {
					return outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "game.a", Payload: []byte("x")})
				}))
				require.Eventually(t, func() bool { return broker.count() > before }, 10*time.Second, time.Millisecond)
			}
			server.Kill()
			server.Start()
			var kept int
			require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from outbox.events").Scan(&kept))
			require.Equal(t, events, kept, "events are in the stream whose transactions do not exist")
		})
	}
}

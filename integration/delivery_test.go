package integration_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// TestACommittedRowReachesTheStream follows one event from SQL to a client of the stream, to the letter of the contract.
func TestACommittedRowReachesTheStream(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "letter")
	startRelay(t, db.URL, s.publisher(t), nil)

	var eventID string
	var createdAt time.Time
	var id int64
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(t.Context(), `select outbox.publish('letter.player.7.level_up', '{"level": 8}', '7', '{"tenant": "eu"}')`).Scan(&eventID)
		if err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), "select id, created_at from outbox.events").Scan(&id, &createdAt)
	})
	require.NoError(t, err)
	requireSettled(t, db.Pool)

	all := s.read(t)
	require.Len(t, all, 1)
	require.Equal(t, "letter.player.7.level_up", all[0].Subject())
	require.JSONEq(t, `{"level": 8}`, string(all[0].Data()))
	headers := all[0].Headers()
	require.Equal(t, eventID, headers.Get("Nats-Msg-Id"))
	require.Equal(t, "7", headers.Get("Outbox-Key"))
	require.Equal(t, strconv.FormatInt(id, 10), headers.Get("Outbox-Seq"))
	require.Equal(t, createdAt.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), headers.Get("Outbox-Created-At"))
	require.Equal(t, "eu", headers.Get("tenant"))
}

func TestARolledBackEventIsNeverPublished(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	startRelay(t, db.URL, broker, nil)
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		if err := outbox.Publish(t.Context(), tx, outbox.Raw{Subject: "game.never", Payload: []byte("x")}); err != nil {
			return err
		}
		return errRollback
	})
	require.ErrorIs(t, err, errRollback)
	publishOne(t, db, "game.after")
	requireSettled(t, db.Pool)
	require.Equal(t, 1, broker.count())
}

// publishOne commits one event without a key.
func publishOne(t testing.TB, db *harness.Database, subject string) {
	t.Helper()
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, outbox.Raw{Subject: subject, Payload: []byte("x")}))
}

// TestAPoisonEventDelaysNobody lets the server's own limit refuse an event.
func TestAPoisonEventDelaysNobody(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	server := harness.StartNATS(t, harness.NATSOptions{Config: "max_payload: 64KB"})
	s := newStream(t, server.URL, "poison")
	r := startRelay(t, db.URL, s.publisher(t), nil)

	events := []outbox.Event{
		outbox.Raw{Subject: "poison.a", Key: "k", Payload: []byte("first")},
		outbox.Raw{Subject: "poison.b", Key: "k", Payload: make([]byte, 100<<10)},
		outbox.Raw{Subject: "poison.c", Key: "k", Payload: []byte("third")},
	}
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, events...))
	requireSettled(t, db.Pool)
	require.Len(t, s.read(t), 2)

	var subject, reason, text string
	var size, attempts int
	err := db.Pool.QueryRow(t.Context(), "select subject, octet_length(payload), reason, error, attempts from outbox.dead_letters").
		Scan(&subject, &size, &reason, &text, &attempts)
	require.NoError(t, err)
	require.Equal(t, "poison.b", subject)
	require.Equal(t, 100<<10, size, "the payload is kept")
	require.Equal(t, string(relay.ReasonTooLarge), reason)
	require.NotEmpty(t, text)
	require.Equal(t, 1, attempts)
	require.EqualValues(t, 1, r.Status().DeadLetters)
}

// TestAnEventWithoutAStreamDelaysItsKeyOnly is about a mistake of an operator, not of the event: it waits until mended.
func TestAnEventWithoutAStreamDelaysItsKeyOnly(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "lonely")
	r := startRelay(t, db.URL, s.publisher(t), func(c *relay.Config) { c.BackoffMax = 100 * time.Millisecond })
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool,
		outbox.Raw{Subject: "nowhere.a", Key: "lost", Payload: []byte("x")},
		outbox.Raw{Subject: "lonely.a", Key: "lost", Payload: []byte("x")},
		outbox.Raw{Subject: "lonely.b", Key: "other", Payload: []byte("x")},
	))
	require.Eventually(t, func() bool { return s.count() == 1 && waiting(t, db.Pool) == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "lonely.b", s.read(t)[0].Subject())
	require.Eventually(t, func() bool { return r.Status().Delayed == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, r.Status().DelayedError, "nowhere.a")
	require.Zero(t, rowCount(t, db.Pool, "outbox.dead_letters"))

	s.capture(t, "nowhere.>") // as an operator does
	requireSettled(t, db.Pool)
	require.Equal(t, 3, s.count())
}

// TestOneRelayLeads starts several on one outbox.
func TestOneRelayLeads(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	first, stop := runRelay(t, db.URL, broker, nil)
	require.Eventually(t, func() bool { return first.Status().State == relay.StateLeading }, 10*time.Second, 5*time.Millisecond)
	second := startRelay(t, db.URL, broker, nil)
	require.Eventually(t, func() bool { return second.Status().State == relay.StateStandby }, 10*time.Second, 5*time.Millisecond)
	require.True(t, second.Status().Ready, "a healthy standby is ready")

	g := newGame(t, db, 12, "game")
	g.run(t, 4, time.Second)
	stop()
	g.run(t, 4, time.Second)
	requireSettled(t, db.Pool)
	require.Equal(t, relay.StateLeading, second.Status().State)
	require.Zero(t, second.Status().Duplicates+first.Status().Duplicates, "a clean stop leaves nothing to be published again")
	g.requireWhole(t, broker.moves(t))
}

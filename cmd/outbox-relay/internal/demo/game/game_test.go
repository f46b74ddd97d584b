package game

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
)

// ledger notes what it is told, and cancels a game that has committed enough.
type ledger struct {
	mu                                  sync.Mutex
	committed, found, rolledBack, doubt map[account.ID]account.Event
	enough                              int
	stop                                context.CancelFunc
}

func newLedger(enough int, stop context.CancelFunc) *ledger {
	l := &ledger{enough: enough, stop: stop}
	for _, m := range []*map[account.ID]account.Event{&l.committed, &l.found, &l.rolledBack, &l.doubt} {
		*m = make(map[account.ID]account.Event)
	}
	return l
}

func (l *ledger) note(in map[account.ID]account.Event, events []account.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		in[e.ID] = e
	}
	if len(l.committed) >= l.enough {
		l.stop()
	}
}

func (l *ledger) Committed(at time.Time, events ...account.Event) {
	if at.IsZero() {
		l.note(l.found, events)
		return
	}
	l.note(l.committed, events)
}
func (l *ledger) RolledBack(events ...account.Event) { l.note(l.rolledBack, events) }
func (l *ledger) InDoubt(events ...account.Event)    { l.note(l.doubt, events) }

// written is an event as it stands in outbox.events.
type written struct {
	EventID account.ID
	Subject string
	Key     string
}

func outboxOf(t *testing.T, url string) []written {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `select event_id, subject, key from outbox.events order by id`)
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[written])
	require.NoError(t, err)
	return events
}

func newGame(t *testing.T, url string, l Ledger) *Game {
	t.Helper()
	g, err := New(t.Context(), url, 100_000, l, zaptest.NewLogger(t))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	return g
}

func TestTheLedgerIsWhatTheDatabaseHolds(t *testing.T) {
	t.Parallel()
	url := database(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	l := newLedger(3000, stop)
	g := newGame(t, url, l)
	require.NoError(t, g.Play(ctx))
	require.ErrorIs(t, ctx.Err(), context.Canceled, "the game came to its end in time")

	events := outboxOf(t, url)
	count, err := g.Events(t.Context())
	require.NoError(t, err)
	assert.Equal(t, len(l.committed), count)
	assert.Len(t, events, len(l.committed))
	assert.NotEmpty(t, l.rolledBack)
	assert.Empty(t, l.doubt)
	assert.Zero(t, g.Failed())

	last := map[string]int64{}
	for _, e := range events {
		entry, ok := l.committed[e.EventID]
		require.True(t, ok, "the outbox holds an event that was not committed: %v", e)
		require.Equal(t, entry.Key, e.Key)
		require.Regexp(t, `^game\.player\.`+e.Key+`\.(level_up|traded|match_won)$`, e.Subject)
		require.Equal(t, last[e.Key]+1, entry.Seq, "the order of ids is that of what happened, without a hole")
		last[e.Key] = entry.Seq
	}
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	l := newLedger(60, stop)
	g, err := New(t.Context(), database(t), 50, l, zaptest.NewLogger(t))
	require.NoError(t, err)
	defer g.Close()
	began := time.Now()
	require.NoError(t, g.Play(ctx))
	assert.Greater(t, time.Since(began), time.Second, "60 events at 50 a second")
}

func TestAGameThatCannotWriteGivesUp(t *testing.T) {
	t.Parallel()
	url := database(t)
	l := newLedger(1, func() {})
	g := newGame(t, url, l)
	execute(t, url, `alter table outbox.events rename to elsewhere`)
	err := g.Play(t.Context())
	assert.ErrorContains(t, err, "every transaction of the game fails: outbox: publish:")
	assert.Empty(t, l.committed)
	assert.NotEmpty(t, l.rolledBack, "events that were begun count as rolled back")
	assert.GreaterOrEqual(t, g.Failed(), int64(patience))
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

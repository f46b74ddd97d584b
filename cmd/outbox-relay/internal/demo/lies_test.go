package demo

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/account"
	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/demo/game"
	"github.com/gameoutbox/relay/outbox"
)

// These tests break a promise behind the back of a demo that runs, and want it to say so.

// event makes an event of the game that no writer has made.
func event(player int, seq int64) game.LevelUp {
	return game.LevelUp{Fact: game.Fact{ID: outbox.NewID(), PlayerID: player, Seq: seq, Timestamp: time.Now()}}
}

// commit puts an event into the outbox and the history, and tells the account.
func commit(t *testing.T, d *demo, events ...game.LevelUp) {
	t.Helper()
	for _, e := range events {
		slip(t, d, e)
		record(t, d, e)
	}
}

// record puts an event into the history, and tells the account that it was committed.
func record(t *testing.T, d *demo, e game.LevelUp) {
	t.Helper()
	execute(t, d, `insert into demo_game.history values ($1, $2, $3, 'level_up')`, e.EventID(), e.PlayerID, e.Seq)
	d.books.Committed(time.Now(), e.Entry())
}

// slip puts an event into the outbox without telling anyone.
func slip(t *testing.T, d *demo, e game.LevelUp) {
	t.Helper()
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), d.engine.pool, e))
}

func execute(t *testing.T, d *demo, statement string, args ...any) {
	t.Helper()
	_, err := d.engine.pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

func audit(t *testing.T, d *demo) account.Snapshot {
	t.Helper()
	c, err := d.audit()
	require.NoError(t, err)
	return c.Snapshot
}

func TestADemoThatKeepsItsPromisesSaysSo(t *testing.T) {
	t.Parallel()
	d := ready(t)
	commit(t, d, event(1, 1), event(1, 2))
	assert.True(t, audit(t, d).Balanced())
}

func TestALostEventIsFound(t *testing.T) {
	t.Parallel()
	d := ready(t)
	commit(t, d, event(1, 1))
	record(t, d, event(1, 2)) // and not into the outbox
	commit(t, d, event(1, 3))
	assert.Equal(t, []string{"1 event committed and never received (lost)"}, audit(t, d).Faults())
}

func TestAnEventThatStaysInPostgresIsLost(t *testing.T) {
	t.Parallel()
	d := ready(t)
	require.NoError(t, d.engine.stop())
	commit(t, d, event(1, 1))
	c, err := d.audit()
	require.NoError(t, err)
	assert.Equal(t, 1, c.Lost)
	assert.EqualValues(t, 1, c.waiting)
	assert.ErrorIs(t, d.close(c, false), ErrUnbalanced)
}

func TestADuplicateIsFound(t *testing.T) {
	t.Parallel()
	d := ready(t)
	twice := event(1, 1)
	commit(t, d, twice)
	d.drain()
	storeAgain(t, d, twice)
	assert.Equal(t, []string{"1 event received more than once (duplicated)"}, audit(t, d).Faults())
}

// storeAgain stores an event in the stream once more, after its duplicate window was made so short that it is over.
func storeAgain(t *testing.T, d *demo, e game.LevelUp) {
	t.Helper()
	conn, err := nats.Connect(d.broker.URL())
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), d.engine.stream)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)

	data, err := json.Marshal(e)
	require.NoError(t, err)
	msg := &nats.Msg{Subject: e.EventName(), Data: data, Header: nats.Header{}}
	msg.Header.Set(nats.MsgIdHdr, e.ID.String())
	msg.Header.Set("Outbox-Key", e.EventKey())
	require.Eventually(t, func() bool {
		ack, err := js.PublishMsg(context.Background(), msg)
		return assert.NoError(t, err) && !ack.Duplicate
	}, 10*time.Second, 50*time.Millisecond)
}

func TestAWrongOrderIsFound(t *testing.T) {
	t.Parallel()
	d := ready(t)
	commit(t, d, event(1, 2), event(1, 1), event(1, 3))
	got := audit(t, d)
	assert.Equal(t, []string{"1 event received after a later event of the same player (out of order)"}, got.Faults())
}

func TestALeakIsFound(t *testing.T) {
	t.Parallel()
	d := ready(t)
	leak := event(1, 1)
	d.books.RolledBack(leak.Entry())
	slip(t, d, leak)
	assert.Equal(t, []string{"1 event received although their transaction was rolled back (leaked)"}, eventually(t, d))
}

func TestAForeignEventIsFound(t *testing.T) {
	t.Parallel()
	d := ready(t)
	slip(t, d, event(1, 1))
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), d.engine.pool, outbox.Raw{Subject: "game.player.1.level_up", Payload: []byte("?")}))
	assert.Equal(t, []string{"2 events received that the game never wrote (foreign)"}, eventually(t, d))
}

// eventually audits a demo once the relay has emptied the outbox of events that the account does not wait for.
func eventually(t *testing.T, d *demo) []string {
	t.Helper()
	require.Eventually(t, func() bool { return d.measure(t.Context()) == 0 }, 30*time.Second, 10*time.Millisecond)
	return audit(t, d).Faults()
}

func TestAGameThatCannotCountIsFound(t *testing.T) {
	t.Parallel()
	d := ready(t)
	commit(t, d, event(1, 1))
	execute(t, d, `delete from demo_game.history`)
	_, err := d.audit()
	assert.ErrorContains(t, err, "the game counted 1 committed events, and the database holds 0")
}

func TestAnEventInDoubtIsNotCalledWellBehaved(t *testing.T) {
	t.Parallel()
	d := ready(t)
	unclear := event(1, 1)
	slip(t, d, unclear)
	d.books.InDoubt(unclear.Entry())
	assert.Equal(t, []string{"1 event whose commit could not be resolved (in doubt)"}, eventually(t, d))
}

package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/selection"
	"github.com/gameoutbox/relay/relay/verify"
)

// storedRows is how many times a stream holds each row, by the row's number.
type storedRows map[int64]int

func (s stream) rows(t testing.TB) storedRows {
	t.Helper()
	rows := storedRows{}
	for _, msg := range s.read(t) {
		if id, err := strconv.ParseInt(msg.Headers().Get("Outbox-Seq"), 10, 64); err == nil {
			rows[id]++
		}
	}
	return rows
}

func (s redisStream) rows(t testing.TB) storedRows {
	t.Helper()
	entries, err := s.client(t).XRange(t.Context(), s.key, "-", "+").Result()
	require.NoError(t, err)
	rows := storedRows{}
	for _, entry := range entries {
		id, err := strconv.ParseInt(entry.Values["seq"].(string), 10, 64)
		require.NoError(t, err)
		rows[id]++
	}
	return rows
}

// idBed is a broker with a way to recognise an id.
type idBed struct {
	publisher relay.Publisher
	subject   string
	rows      func(testing.TB) storedRows
}

var idBeds = map[string]func(*testing.T) idBed{
	"fast ingest": func(t *testing.T) idBed {
		s := newStream(t, harness.NATS(t), "id-fast")
		return idBed{s.publisher(t), s.subject, s.rows}
	},
	"singly": func(t *testing.T) idBed {
		s := newStream(t, harness.NATS(t), "id-singly")
		s.create(t, func(c *natsjs.StreamConfig) { c.AllowBatchPublish = false })
		return idBed{s.publisher(t), s.subject, s.rows}
	},
	"beside others": func(t *testing.T) idBed {
		s := newStream(t, harness.NATS(t), "id-beside")
		s.create(t, func(*natsjs.StreamConfig) {})
		s.publishOthers(t)
		return idBed{s.publisher(t), s.subject, s.rows}
	},
	"Redis 8.0": func(t *testing.T) idBed { return redisIDBed(t, "8.0") },
	"Redis 8.6": func(t *testing.T) idBed { return redisIDBed(t, "8.6") },
}

func redisIDBed(t *testing.T, version string) idBed {
	t.Helper()
	s := newRedisStream(harness.StartRedis(t, harness.RedisOptions{Version: version}).URL, "ids")
	return idBed{s.publisher(t), "ids", s.rows}
}

// publishOthers publishes to the stream, as a program that has no outbox, until the test ends.
func (s stream) publishOthers(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		nc, err := nats.Connect(s.url)
		for ; err == nil && ctx.Err() == nil; <-time.After(time.Millisecond) {
			err = nc.Publish(s.subject+".other", []byte("by hand"))
		}
		if nc != nil {
			nc.Close()
		}
		done <- err
	}()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
}

// requireNobodyLost compares the table's rows with what became of them: each is in the stream once, or a
// dead letter that says why, or the same event as one that is in the stream.
func requireNobodyLost(t testing.TB, db *harness.Database, total int, rows storedRows, same, taken int) {
	t.Helper()
	require.Len(t, rows, total-same-taken)
	for id, times := range rows {
		require.Equal(t, 1, times, "row %d", id)
	}
	require.Equal(t, taken, rowCount(t, db.Pool, "outbox.dead_letters where reason = 'id_taken'"))
	require.Equal(t, taken, rowCount(t, db.Pool, "outbox.dead_letters"))
}

// TestOneIDForTwoEvents loses none of them silently: the id of an order for two of its events, in a
// transaction each and in one; the id of an earlier event in the middle of many.
func TestOneIDForTwoEvents(t *testing.T) {
	t.Parallel()
	for name, newBed := range idBeds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oneIDForTwoEvents(t, newBed(t))
		})
	}
}

func oneIDForTwoEvents(t *testing.T, bed idBed) {
	t.Helper()
	db := harness.Postgres(t)
	r := startRelay(t, db.URL, bed.publisher, nil)
	const (
		first  = "11111111-1111-1111-1111-111111111111"
		second = "22222222-1111-1111-1111-111111111111"
		third  = "33333333-1111-1111-1111-111111111111"
	)
	publish := func(name, payload, key, id string) {
		t.Helper()
		_, err := db.Pool.Exec(t.Context(), "select outbox.publish_bytes($1, $2, key => $3, event_id => $4)", bed.subject+"."+name, []byte(payload), key, id)
		require.NoError(t, err)
	}
	publish("created", "1", "k", first)
	publish("paid", "2", "k", first)
	publish("created", "1", "k", first) // a request that was repeated
	run(t, db.Pool, fmt.Sprintf(`begin;
		select outbox.publish_bytes('%[1]s', 'x', event_id => '%[2]s');
		select outbox.publish_bytes('%[1]s', 'y', event_id => '%[2]s');
		select outbox.publish_bytes('%[1]s', 'x', key => 'other', event_id => '%[2]s');
		select outbox.publish_bytes('%[1]s', 'z');
		commit`, bed.subject+".one", second))
	requireSettled(t, db.Pool)
	requireNobodyLost(t, db, 7, bed.rows(t), 1, 3)

	// Among many: every hundredth has the id of an earlier one.
	_, err := db.Pool.Exec(t.Context(), `
		insert into outbox.events (subject, key, payload, event_id)
		select $1, (n % 50)::text, n::text::bytea, case when n % 100 = 0 then $2::uuid else gen_random_uuid() end
		from generate_series(1, 20000) as n`, bed.subject+".many", third)
	require.NoError(t, err)
	requireSettled(t, db.Pool)
	requireNobodyLost(t, db, 20_007, bed.rows(t), 1, 3+199)
	require.True(t, r.Status().Ready)
	require.EqualValues(t, 1, r.Status().Duplicates, "the request that was repeated")
	var why string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select error from outbox.dead_letters where event_id = $1", first).Scan(&why))
	require.Contains(t, why, first)
	require.Contains(t, why, bed.subject+".created")
	require.Contains(t, why, "differ in subject, payload")
}

// TestTwoServicesUseOneID has two outboxes and one stream.
func TestTwoServicesUseOneID(t *testing.T) {
	t.Parallel()
	const events, parts = 20_000, 20
	s := newStream(t, harness.NATS(t), "id-shared")
	s.create(t, func(*natsjs.StreamConfig) {})
	outboxes := []*harness.Database{harness.Postgres(t), harness.Postgres(t)}
	for _, db := range outboxes {
		startRelay(t, db.URL, s.publisher(t), nil)
	}
	for i := range 4 { // each comes to know that the other is there
		publishOne(t, outboxes[i%2], s.subject+".hello")
		require.Eventually(t, func() bool { return s.count() == i+1 }, time.Minute, 10*time.Millisecond)
	}
	// In parts, so that both are at it at once. Every tenth id is that of an event of the other.
	for part := range parts {
		for i, db := range outboxes {
			_, err := db.Pool.Exec(t.Context(), `
				insert into outbox.events (subject, payload, event_id)
				select $1, n::text::bytea, case when n % 10 = 0 then lpad(n::text, 32, 'a')::uuid else gen_random_uuid() end
				from generate_series($2::int + 1, $3::int) as n`,
				fmt.Sprintf("%s.%d", s.subject, i), part*events/parts, (part+1)*events/parts)
			require.NoError(t, err)
		}
	}
	taken := 0
	for _, db := range outboxes {
		requireSettled(t, db.Pool)
		taken += rowCount(t, db.Pool, "outbox.dead_letters where reason = 'id_taken'")
	}
	require.Equal(t, events/10, taken)
	require.Equal(t, 4+2*events-taken, s.count())
}

// TestTheZeroIDIsRefused with an error that a person understands.
func TestTheZeroIDIsRefused(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for _, statement := range []string{
		"select outbox.publish('game.x', '{}', event_id => '00000000-0000-0000-0000-000000000000')",
		"insert into outbox.events (subject, payload, event_id) values ('game.x', '', '00000000-0000-0000-0000-000000000000')",
	} {
		_, err := db.Pool.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "events_event_id_set", statement)
	}
}

// TestVerifyComparesWhatHasAnEventsID finds an event for which the stream holds another one, as relays
// before this rule have left it.
func TestVerifyComparesWhatHasAnEventsID(t *testing.T) {
	t.Parallel()
	b := newBed(t, forgetful)
	b.relay(t, nil)
	b.write(t, 20)
	twice, taken := b.remove(t, 19), b.remove(t, 20)
	twice.Header.Set("Outbox-Seq", "1019")
	b.store(t, twice)
	_, findings := b.verify(t, selection.Selection{Last: 19})
	require.Empty(t, findings, "the same event, written once more")

	taken.Header.Set("Outbox-Seq", "1020")
	taken.Data = []byte("another payload")
	sequence := b.store(t, taken)
	_, findings = b.verify(t, selection.Selection{})
	requireKinds(t, findings, map[verify.Kind][]int64{verify.Altered: {20}})
	require.Equal(t, []uint64{sequence}, findings[0].Sequences)
	require.Contains(t, findings[0].Detail, "row 1020")
	require.Contains(t, findings[0].Detail, "payload differs")
}

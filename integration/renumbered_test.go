package integration_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// The number of events before the ids are drawn again, all acknowledged and retained.
const oldEvents = 100

// writeNew is a statement that writes new events of one key, whose payloads count up.
const writeNew = `insert into outbox.events (subject, key, payload)
	select 'game.new', 'k', convert_to(i::text, 'UTF8') from generate_series(1, EVENTS) as i`

// newEvents returns the numbers of the new events in the order in which they were stored.
func (m *memory) newEvents(t *testing.T) (numbers []int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, event := range m.stored {
		if event.Subject != "game.new" {
			continue
		}
		number, err := strconv.Atoi(string(event.Payload))
		require.NoError(t, err)
		numbers = append(numbers, number)
	}
	return numbers
}

// TestIdsDrawnAgainUnderReceipts lets an operator empty the table in each way and draw ids again that receipts cover, while a relay runs and
// while none does: each new event is stored once, in order, before the sweep could find any, and the purge removes no other event.
func TestIdsDrawnAgainUnderReceipts(t *testing.T) {
	t.Parallel()
	const newTable = `create table outbox.copy (like outbox.events including all); drop table outbox.events;
		alter table outbox.copy rename to events; alter sequence outbox.copy_id_seq rename to events_id_seq;
		alter index outbox.copy_pkey rename to events_pkey`
	for name, c := range map[string]struct {
		empty  string
		events int // the new ones
	}{
		"truncate restart identity":            {"truncate outbox.events restart identity", 300},
		"truncate restart identity, few new":   {"truncate outbox.events restart identity", 30},
		"alter sequence restart":               {"delete from outbox.events; alter sequence outbox.events_id_seq restart", 300},
		"setval":                               {"delete from outbox.events; select setval('outbox.events_id_seq', 1, false)", 300},
		"setval, few new":                      {"delete from outbox.events; select setval('outbox.events_id_seq', 1, false)", 30},
		"truncate, where the sequence goes on": {"truncate outbox.events", 300},
		"a new table":                          {newTable, 300},
	} {
		for _, live := range []bool{true, false} {
			t.Run(name+", "+map[bool]string{true: "live", false: "stopped"}[live], func(t *testing.T) {
				t.Parallel()
				db, broker := harness.Postgres(t), &memory{}
				change := func(c *relay.Config) { c.Retention, c.SweepInterval = 5*time.Second, time.Hour }
				r, stop := runRelay(t, db.URL, broker, change)
				writeOld(t, db, broker)
				if !live {
					stop()
				}
				_, err := db.Pool.Exec(t.Context(), "begin; "+c.empty+"; "+strings.ReplaceAll(writeNew, "EVENTS", strconv.Itoa(c.events))+"; commit")
				require.NoError(t, err)
				if !live {
					r, stop = runRelay(t, db.URL, broker, change)
				}
				defer stop()
				requireNew(t, broker, c.events)
				require.Zero(t, r.Status().Duplicates, "nothing is published again")
				require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.events") == 0 }, 60*time.Second, 50*time.Millisecond)
				requireFlow(t, db, broker)
			})
		}
	}
}

// writeOld writes events and waits until they are acknowledged and settled.
func writeOld(t *testing.T, db *harness.Database, broker *memory) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), "insert into outbox.events (subject, key, payload) select 'game.old', 'k', '' from generate_series(1, $1)", oldEvents)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return broker.count() == oldEvents }, 60*time.Second, 10*time.Millisecond)
	requireSettled(t, db.Pool)
}

// requireNew waits for the new events, and compares their order with that in which they were written.
func requireNew(t *testing.T, broker *memory, events int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(broker.newEvents(t)) >= events }, 90*time.Second, 10*time.Millisecond, "new events are not published")
	for i, number := range broker.newEvents(t) {
		require.Equal(t, i+1, number, "the order of the new events")
	}
}

// TestRewrittenTableIsNotPublishedAgain changes the table in ways that keep the acknowledged rows, or bring them back.
func TestRewrittenTableIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"vacuum full":   "vacuum full outbox.events",
		"cluster":       "cluster outbox.events using events_pkey",
		"a row is gone": "delete from outbox.events where id = 100",
		"the table is restored alone": `create table public.kept as table outbox.events; truncate outbox.events;
			select pg_sleep(1); insert into outbox.events overriding system value table public.kept`,
		"the table is restored alone, after new events": `create table public.kept as table outbox.events; truncate outbox.events;
			insert into outbox.events (subject, key, payload) values ('game.between', 'k', '');
			select pg_sleep(1); insert into outbox.events overriding system value table public.kept`,
	} {
		for _, live := range []bool{true, false} {
			t.Run(name+", "+map[bool]string{true: "live", false: "stopped"}[live], func(t *testing.T) {
				t.Parallel()
				db, broker := harness.Postgres(t), &memory{}
				settings := func(c *relay.Config) { c.SweepInterval = time.Second }
				r, stop := runRelay(t, db.URL, broker, settings)
				writeOld(t, db, broker)
				if !live {
					stop()
				}
				for statement := range strings.SplitSeq(change, ";") {
					_, err := db.Pool.Exec(t.Context(), statement)
					require.NoError(t, err)
				}
				if !live {
					r, stop = runRelay(t, db.URL, broker, settings)
				}
				defer stop()
				_, err := db.Pool.Exec(t.Context(), strings.ReplaceAll(writeNew, "EVENTS", "10"))
				require.NoError(t, err)
				requireNew(t, broker, 10)
				<-time.After(3 * time.Second) // some sweeps, which must find nothing
				requireSettled(t, db.Pool)
				require.Zero(t, r.Status().Duplicates, "acknowledged events are published again")
			})
		}
	}
}

// TestReceiptsOfAnOlderRelay have no event_ids and no generation. They get those of the rows, unless the sequence was set back meanwhile.
func TestReceiptsOfAnOlderRelay(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]string{"upgraded": "select", "emptied": "truncate outbox.events restart identity"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, broker := harness.Postgres(t), &memory{}
			_, stop := runRelay(t, db.URL, broker, nil)
			writeOld(t, db, broker)
			stop()
			_, err := db.Pool.Exec(t.Context(), "update outbox.receipts set event_ids = null, generation = null; "+meanwhile)
			require.NoError(t, err)
			_, err = db.Pool.Exec(t.Context(), strings.ReplaceAll(writeNew, "EVENTS", "30"))
			require.NoError(t, err)
			r := startRelay(t, db.URL, broker, nil)
			requireNew(t, broker, 30)
			requireSettled(t, db.Pool)
			require.Zero(t, r.Status().Duplicates, "nothing is published again")
			require.Zero(t, rowCount(t, db.Pool, "outbox.receipts where event_ids is null or generation is null"))
			require.Zero(t, rowCount(t, db.Pool, `outbox.receipts as receipt, outbox.acknowledged(ids, event_ids) as pair
				where not exists (select from outbox.events as event where event.id = pair.id and event.event_id = pair.event_id)`))
		})
	}
}

// TestTheAdviceForASequenceThatWentBack is followed after new events have got ids in the middle of a receipt. None of them is lost.
func TestTheAdviceForASequenceThatWentBack(t *testing.T) {
	t.Parallel()
	db, broker := harness.Postgres(t), &memory{}
	r := startRelay(t, db.URL, broker, func(c *relay.Config) { c.SweepInterval = time.Hour })
	writeOld(t, db, broker)
	_, err := db.Pool.Exec(t.Context(), "begin; delete from outbox.events where id between 21 and 60; select setval('outbox.events_id_seq', 20); "+
		strings.ReplaceAll(writeNew, "EVENTS", "30")+"; commit")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(r.Status().NotReady, "id 100 is in use") }, 60*time.Second, 10*time.Millisecond)
	_, err = db.Pool.Exec(t.Context(), "select setval('outbox.events_id_seq', 100)")
	require.NoError(t, err)
	requireNew(t, broker, 30)
	requireFlow(t, db, broker)
	require.Zero(t, r.Status().Duplicates, "nothing is published again")
}

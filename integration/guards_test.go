package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// TestWhatCouldLoseEventsIsRefusedAtTheStart breaks the table in each way, reads the remedy, and applies it.
func TestWhatCouldLoseEventsIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breakIt string
		problem relay.Problem
		text    string
	}{
		"a sequence that draws in blocks": {"alter sequence outbox.events_id_seq cache 20", relay.ProblemCache, "CACHE 20"},
		"a sequence behind the data":      {"select setval('outbox.events_id_seq', 3)", relay.ProblemSequence, "is at 3, but id 20 is in use"},
		"no primary key":                  {"alter table outbox.events drop constraint events_pkey", relay.ProblemNoIndex, "primary key"},
		"a trigger that keeps rows": {`create function keep() returns trigger language plpgsql as 'begin return null; end';
			create trigger "keep it" before delete on outbox.events for each row execute function keep()`, relay.ProblemTrigger, `"keep it"`},
		"a right is missing":     {"revoke insert on outbox.receipts from ROLE", relay.ProblemNoRight, "may not write receipts"},
		"another is missing":     {"revoke insert on outbox.held_keys from ROLE", relay.ProblemNoRight, "may not hold keys"},
		"a third is missing":     {"revoke select on outbox.lease from ROLE", relay.ProblemNoRight, "may not take the lease"},
		"rows that it can't see": {"alter table outbox.events enable row level security", relay.ProblemHidden, "row security"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			role := newRole(t, db)
			_, err := db.Pool.Exec(t.Context(), "select outbox.grant_relay($1::text::regrole)", role.quoted())
			require.NoError(t, err)
			broker := &memory{}
			_, stop := runRelay(t, role.url, broker, nil)
			for range 20 {
				publishOne(t, db, "game.before")
			}
			require.Eventually(t, func() bool { return broker.count() == 20 }, 20*time.Second, 10*time.Millisecond)
			requireSettled(t, db.Pool)
			stop()

			_, err = db.Pool.Exec(t.Context(), strings.ReplaceAll(c.breakIt, "ROLE", role.quoted()))
			require.NoError(t, err)
			var problem *relay.CheckError
			require.ErrorAs(t, relay.Check(t.Context(), connect(t, role.url), migrations.Latest()), &problem)
			require.Equal(t, c.problem, problem.Problem)
			require.ErrorContains(t, problem, c.text)

			r := startRelay(t, role.url, broker, nil) // one that started before goes on trying, as this one does
			require.Eventually(t, func() bool { return strings.Contains(r.Status().NotReady, c.text) }, 20*time.Second, 10*time.Millisecond)
			remedy, found := strings.CutPrefix(problem.Next[strings.LastIndex(problem.Next, "run: "):], "run: ")
			require.True(t, found)
			remedy, _, _ = strings.Cut(remedy, ";")
			_, err = db.Pool.Exec(t.Context(), remedy)
			require.NoError(t, err, remedy)
			publishOne(t, db, "game.after")
			require.Eventually(t, func() bool { return broker.count() == 21 }, 30*time.Second, 10*time.Millisecond)
			requireSettled(t, db.Pool)
			require.Zero(t, r.Status().Duplicates, "nothing is published again")
		})
	}
}

// TestEventsAtTheLastIdsAreMoved as the remedy says, unless they were published. Ids drawn after them would
// soon be exhausted, and every writer would fail.
func TestEventsAtTheLastIdsAreMoved(t *testing.T) {
	t.Parallel()
	const write = `insert into outbox.events (id, subject, key, payload) overriding system value
		select 4611686018427387890 + i, 'game.last', 'k', convert_to(i::text, 'UTF8') from generate_series(1, 10) as i`
	for _, published := range []bool{true, false} {
		for _, drawn := range []int64{20, 4611686018427387895} {
			t.Run(fmt.Sprintf("published %t, drawn %d", published, drawn), func(t *testing.T) {
				t.Parallel()
				db, broker := harness.Postgres(t), &memory{}
				change := func(c *relay.Config) { c.SweepInterval = time.Hour }
				_, stop := runRelay(t, db.URL, broker, change)
				for range 20 {
					publishOne(t, db, "game.before")
				}
				if published {
					run(t, db.Pool, "select setval('outbox.events_id_seq', 4611686018427387900)")
					run(t, db.Pool, write)
				}
				want := 20 + 10*count(published)
				require.Eventually(t, func() bool { return broker.count() == want }, 20*time.Second, 10*time.Millisecond)
				requireSettled(t, db.Pool)
				stop()
				if !published {
					run(t, db.Pool, write)
				}
				run(t, db.Pool, "select setval('outbox.events_id_seq', $1)", drawn)

				r := startRelay(t, db.URL, broker, change)
				require.Eventually(t, func() bool {
					return strings.Contains(r.Status().NotReady, "but id 4611686018427387900 is in use")
				}, 20*time.Second, 10*time.Millisecond)
				var problem *relay.CheckError
				require.ErrorAs(t, relay.Check(t.Context(), db.Pool, migrations.Latest()), &problem)
				require.Equal(t, relay.ProblemSequence, problem.Problem)
				_, remedy, found := strings.Cut(problem.Next, "run: ")
				require.True(t, found)
				for statement := range strings.SplitSeq(remedy, "; ") {
					run(t, db.Pool, statement)
				}
				for range 20 {
					publishOne(t, db, "game.after")
				}
				require.Eventually(t, func() bool { return broker.count() == 50 }, 30*time.Second, 10*time.Millisecond)
				requireSettled(t, db.Pool)
				require.Zero(t, r.Status().Duplicates, "nothing is published again")
				require.Zero(t, rowCount(t, db.Pool, "outbox.events where id > 1000"))
			})
		}
	}
}

// TestASequenceThatGoesBackIsNoticed while the relay runs. Where no id is in use any more, there is nothing to mend: everything is
// read again, and new ids are drawn that lie before old ones.
func TestASequenceThatGoesBackIsNoticed(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	broker := &memory{}
	r := startRelay(t, db.URL, broker, func(c *relay.Config) { c.Retention, c.SweepInterval = 0, time.Hour })
	for range 20 {
		publishOne(t, db, "game.before")
	}
	require.Eventually(t, func() bool { return broker.count() == 20 }, 20*time.Second, 10*time.Millisecond)
	requireSettled(t, db.Pool)
	_, err := db.Pool.Exec(t.Context(), "alter sequence outbox.events_id_seq restart with 5")
	require.NoError(t, err)
	publishOne(t, db, "game.behind")
	require.Eventually(t, func() bool { return broker.count() == 21 }, 20*time.Second, 10*time.Millisecond)
	requireSettled(t, db.Pool)
	require.Empty(t, r.Status().NotReady)
}

// TestOdditiesAreTold although they are no reason to stop.
func TestOdditiesAreTold(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), `create function watch() returns trigger language plpgsql as 'begin return new; end';
		create trigger watched after insert on outbox.events for each row execute function watch();
		alter table outbox.events set unlogged`)
	require.NoError(t, err)
	broker := &memory{}
	r := startRelay(t, db.URL, broker, nil)
	publishOne(t, db, "game.x")
	requireSettled(t, db.Pool)
	require.Len(t, r.Status().Warnings, 2)
	require.Contains(t, r.Status().Warnings[0], "drop trigger watched on outbox.events")
	require.Contains(t, r.Status().Warnings[1], "alter table outbox.events set logged")
	require.True(t, r.Status().Ready)
}

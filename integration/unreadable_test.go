package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// unreadable are rows that no reader can represent, as they may have been written before the rules of migration 14.
const unreadable = `insert into outbox.events (id, subject, key, payload, created_at) overriding system value values
	(9223372036854775807, 'game.last', 'k1', '', clock_timestamp()),
	(9223372036854775806, 'game.last', 'k2', '', '-infinity'),
	(4611686018427387904, 'game.last', null, '', clock_timestamp()),
	(nextval('outbox.events_id_seq'), 'game.never', 'k1', '', 'infinity'),
	(nextval('outbox.events_id_seq'), 'game.never', null, '', '-infinity')`

// TestUnreadableRowsAreBuriedByThemselves while the others go on, whether they are there when the relay comes or later.
func TestUnreadableRowsAreBuriedByThemselves(t *testing.T) {
	t.Parallel()
	for _, holds := range []relay.AfterDeadLetter{relay.ContinueKey, relay.HoldKey} {
		t.Run(string(holds), func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			run(t, db.Pool, "alter table outbox.events drop constraint if exists events_readable")
			run(t, db.Pool, "alter sequence outbox.events_id_seq maxvalue 9223372036854775807")
			run(t, db.Pool, unreadable)
			publishOne(t, db, "game.first")
			broker := &memory{}
			r := startRelay(t, db.URL, broker, func(c *relay.Config) { c.SweepInterval, c.AfterDeadLetter = time.Second, holds })
			require.Eventually(t, func() bool { return broker.count() == 1 }, 20*time.Second, 5*time.Millisecond, "%+v", r.Status())
			buried := func(n int) {
				t.Helper()
				require.Eventually(t, func() bool { return rowCount(t, db.Pool, "outbox.dead_letters") == n }, 20*time.Second, 5*time.Millisecond)
				require.Eventually(t, func() bool { return waiting(t, db.Pool) == 0 }, 20*time.Second, 5*time.Millisecond, "settled too")
			}
			buried(5)
			run(t, db.Pool, "delete from outbox.dead_letters; delete from outbox.held_keys; update outbox.control set epoch = epoch + 1")

			run(t, db.Pool, unreadable)
			publishOne(t, db, "game.second")
			require.Eventually(t, func() bool { return broker.count() == 2 }, 20*time.Second, 5*time.Millisecond, "%+v", r.Status())
			buried(5)
			require.Eventually(t, func() bool {
				s := r.Status()
				return s.Ready && s.Backlog.Events == 0 && s.Backlog.Lag == 0 && s.Backlog.DeadLetters == 5
			}, 20*time.Second, 5*time.Millisecond, "%+v", r.Status())
			var reasons, finite int
			require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) filter (where reason = 'unreadable' and error <> ''),
				count(*) filter (where isfinite(created_at)) from outbox.dead_letters`).Scan(&reasons, &finite))
			require.Equal(t, []int{5, 5}, []int{reasons, finite})

			program := newCLI(t, db.URL)
			program.mustRun(t, "dead", "list")
			program.mustRun(t, "status")
			program.mustRun(t, "dead", "retry", "--wait", "0s", "9223372036854775807", "9223372036854775806", "4611686018427387904")
			want := 5
			if holds == relay.HoldKey {
				want = 4 // another dead letter still holds k1
			}
			require.Eventually(t, func() bool { return broker.count() == want }, 20*time.Second, 5*time.Millisecond, "they get ids of their own")
		})
	}
}

// TestTheSchemaRefusesWhatNobodyCanRead where it is written.
func TestTheSchemaRefusesWhatNobodyCanRead(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for statement, want := range map[string]string{
		"insert into outbox.events (subject, payload, created_at) values ('game.x', '', 'infinity')":                          "events_readable",
		"insert into outbox.events (subject, payload, created_at) values ('game.x', '', '-infinity')":                         "events_readable",
		"insert into outbox.events (id, subject, payload) overriding system value values (9223372036854775807, 'game.x', '')": "events_readable",
		"select setval('outbox.events_id_seq', 9223372036854775807)":                                                          "out of bounds",
		"update outbox.lease set expires_at = 'infinity'":                                                                     "lease_readable",
		"update outbox.lease set acquired_at = '-infinity'":                                                                   "lease_readable",
		"update outbox.lease set ttl = '100 years'":                                                                           "lease_readable",
		"update outbox.lease set term = 9223372036854775807":                                                                  "lease_readable",
		"insert into outbox.events (subject, payload, created_at) values ('game.x', '', '294276-12-31')":                      "",
	} {
		_, err := db.Pool.Exec(t.Context(), statement)
		if want == "" {
			require.NoError(t, err, statement)
			continue
		}
		require.ErrorContains(t, err, want, statement)
	}
}

package integration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// TestRowSecurityIsNoticedWhileTheRelayRuns switches it on under a relay, for each table that the
// relay reads and by each kind of policy. The relay is not ready, names the table, its role and
// the remedy, and publishes what was hidden once the remedy is applied.
func TestRowSecurityIsNoticedWhileTheRelayRuns(t *testing.T) {
	t.Parallel()
	const open = "create policy open on outbox.events using (true) with check (true);"
	for name, c := range map[string]struct{ table, hide string }{
		"no policy":               {"events", "alter table outbox.events enable row level security"},
		"a policy that shows all": {"events", open + "alter table outbox.events enable row level security"},
		"a restrictive policy": {"events", open + `create policy hide on outbox.events as restrictive
			for select using (subject <> 'game.hidden'); alter table outbox.events enable row level security`},
		"the owner": {"events", `alter table outbox.events owner to ROLE;
			alter table outbox.events force row level security, enable row level security`},
		"receipts":     {"receipts", "alter table outbox.receipts enable row level security"},
		"lease":        {"lease", "alter table outbox.lease enable row level security"},
		"positions":    {"positions", "alter table outbox.positions enable row level security"},
		"held keys":    {"held_keys", "alter table outbox.held_keys enable row level security"},
		"rehomes":      {"rehomes", "alter table outbox.rehomes enable row level security"},
		"control":      {"control", "alter table outbox.control enable row level security"},
		"dead letters": {"dead_letters", "alter table outbox.dead_letters enable row level security"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			role := newRole(t, db)
			run(t, db.Pool, "select outbox.grant_relay($1::text::regrole)", role.quoted())
			broker := &memory{}
			r := startRelay(t, role.url, broker, nil)
			publishOne(t, db, "game.seen")
			isDone := func(events int) func() bool {
				return func() bool { return broker.count() == events && r.Status().Ready }
			}
			require.Eventually(t, isDone(1), 20*time.Second, 10*time.Millisecond)
			requireSettled(t, db.Pool)

			run(t, db.Pool, strings.ReplaceAll(c.hide, "ROLE", role.quoted()))
			run(t, db.Pool, `insert into outbox.events (subject, key, payload)
				values ('game.hidden', 'k', ''), ('game.later', 'k', '')`)
			remedy := "alter table outbox." + c.table + " disable row level security"
			require.Eventually(t, func() bool {
				s := r.Status()
				return !s.Ready && strings.Contains(s.NotReady, role.name) && strings.Contains(s.NotReady, "run: "+remedy)
			}, 40*time.Second, 10*time.Millisecond, "%+v", r.Status())

			run(t, db.Pool, remedy)
			require.Eventually(t, isDone(3), 60*time.Second, 10*time.Millisecond)
			requireSettled(t, db.Pool)
			require.Equal(t, []string{"game.seen", "game.hidden", "game.later"}, broker.subjects())
		})
	}
}

// TestRowSecurityThatHidesNothingIsNoTrouble because the relay's role is exempt from it.
func TestRowSecurityThatHidesNothingIsNoTrouble(t *testing.T) {
	t.Parallel()
	for name, exempt := range map[string]string{
		"bypassrls": "alter role ROLE bypassrls",
		"the owner": "alter table outbox.events owner to ROLE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := harness.Postgres(t)
			role := newRelayRole(t, db)
			run(t, db.Pool, strings.ReplaceAll(exempt, "ROLE", role.quoted()))
			run(t, db.Pool, "alter table outbox.events enable row level security")
			requireRelays(t, db, role.url, func(published func(int)) { requireCommands(t, role.url, published) })
		})
	}
}

// TestRowSecurityIsLookedForOnEachTable that a relay or an operator may read.
func TestRowSecurityIsLookedForOnEachTable(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	role := newRelayRole(t, db)
	rows, err := db.Pool.Query(t.Context(), `select relname::text from pg_class
		where relnamespace = 'outbox'::regnamespace and relkind = 'r' and has_table_privilege($1, oid, 'select')`, role.name)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 10)
	for _, table := range tables {
		run(t, db.Pool, "alter table outbox."+table+" enable row level security")
	}
	var problem *relay.CheckError
	require.ErrorAs(t, relay.Check(t.Context(), connect(t, role.url), migrations.Latest()), &problem)
	require.Equal(t, relay.ProblemHidden, problem.Problem)
	for _, table := range tables {
		require.Contains(t, problem.Text, "outbox."+table)
	}
}

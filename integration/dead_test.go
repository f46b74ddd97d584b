package integration_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/deadletter"
)

// buried is a dead letter that a test puts into the table by hand.
type buried struct {
	id      int64 // 0 draws one, as a writer does
	subject string
	key     string
	reason  string
	payload string
	headers string
	failed  time.Duration // how long ago
}

// buryByHand writes dead letters and returns their ids and event ids.
func buryByHand(t testing.TB, pool *pgxpool.Pool, letters ...buried) (ids []int64, eventIDs []string) {
	t.Helper()
	for _, l := range letters {
		var id int64
		var eventID string
		require.NoError(t, pool.QueryRow(t.Context(), `
			insert into outbox.dead_letters
			    (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
			values (coalesce(nullif($1::bigint, 0), nextval('outbox.events_id_seq')), gen_random_uuid(), $2, nullif($3, ''),
			        nullif($4, '')::jsonb, $5, now() - interval '1 day', $6, 'the broker said no', 1, now() - $7::interval, now() - $7::interval)
			returning id, event_id::text`,
			l.id, l.subject, l.key, l.headers, []byte(l.payload), orRefused(l.reason), l.failed).Scan(&id, &eventID))
		ids, eventIDs = append(ids, id), append(eventIDs, eventID)
	}
	return ids, eventIDs
}

func orRefused(reason string) string {
	if reason == "" {
		return string(relay.ReasonRefused)
	}
	return reason
}

// text returns ids as arguments.
func text(ids ...int64) []string {
	args := make([]string, len(ids))
	for i, id := range ids {
		args[i] = strconv.FormatInt(id, 10)
	}
	return args
}

// logged is a line of outbox.dead_letter_log.
type logged struct {
	Action, Actor, Note string
	DeadID              int64
	EventID, Subject    string
	Key, Reason, Error  string
	NewID               *int64
	Outcome             string
}

func readLog(t testing.TB, pool *pgxpool.Pool) []logged {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select action, actor, note, dead_id, event_id::text, subject, coalesce(key, ''), reason, error, new_id,
		coalesce(outcome, '') from outbox.dead_letter_log order by id`)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[logged])
	require.NoError(t, err)
	return lines
}

func epoch(t testing.TB, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "select epoch from outbox.control").Scan(&n))
	return n
}

// listed returns the ids that `dead list --json` prints, in its order.
func listed(t testing.TB, c cli, args ...string) (ids []int64) {
	t.Helper()
	for line := range strings.Lines(c.mustRun(t, append([]string{"dead", "list", "--json"}, args...)...)) {
		var letter deadletter.Letter
		require.NoError(t, json.Unmarshal([]byte(line), &letter))
		ids = append(ids, letter.ID)
	}
	return ids
}

func TestDeadListsAndFilters(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	require.Equal(t, "there are no dead letters\n", c.mustRun(t, "dead", "list"))
	require.Empty(t, listed(t, c))

	ids, eventIDs := buryByHand(t, db.Pool,
		buried{subject: "game.chat.a", reason: "too_large", failed: 3 * time.Hour, key: "player:1"},
		buried{subject: "game.chat.b", reason: "refused", failed: time.Hour},
		buried{subject: "game.shop.a", reason: "attempts", failed: 2 * time.Hour, key: "player:2"},
	)
	_, err := db.Pool.Exec(t.Context(), "insert into outbox.held_keys (key, dead_id, event_id) values ('player:2', $1, $2)", ids[2], eventIDs[2])
	require.NoError(t, err)
	a, b, shop := ids[0], ids[1], ids[2]

	table := c.mustRun(t, "dead", "list")
	require.Regexp(t, `(?s)^ID +EVENT ID .*`+eventIDs[1]+`.*`+eventIDs[2]+`.*player:2 \(held\).*`+eventIDs[0], table, "newest first")
	require.Contains(t, table, "the broker said no")
	require.Contains(t, c.mustRun(t, "dead", "list", "--limit=2"), "and 1 more; raise --limit")

	for name, tc := range map[string]struct {
		args []string
		want []int64
	}{
		"newest first":   {nil, []int64{b, shop, a}},
		"by id":          {[]string{"--sort=id"}, []int64{a, b, shop}},
		"limit":          {[]string{"--limit=1"}, []int64{b}},
		"row id":         {text(a), []int64{a}},
		"both ids":       {append(text(a), eventIDs[1]), []int64{b, a}},
		"subject":        {[]string{"--subject=game.chat.*"}, []int64{b, a}},
		"key":            {[]string{"--key=player:2"}, []int64{shop}},
		"reason":         {[]string{"--reason=too_large,attempts"}, []int64{shop, a}},
		"since":          {[]string{"--since=150m"}, []int64{b, shop}},
		"until":          {[]string{"--until=90m"}, []int64{shop, a}},
		"since in words": {[]string{"--since=" + time.Now().Add(-150*time.Minute).Format(time.RFC3339)}, []int64{b, shop}},
		"all must apply": {append(text(a, b), "--reason=refused"), []int64{b}},
		"none":           {[]string{"--subject=other.>"}, nil},
	} {
		require.Equal(t, tc.want, listed(t, c, tc.args...), name)
	}
	require.Equal(t, "no dead letter matches\n", c.mustRun(t, "dead", "list", "--subject=other.>"))
}

func TestDeadShows(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	raw := "\x00\x01" + strings.Repeat("x", 600)
	ids, eventIDs := buryByHand(t, db.Pool,
		buried{subject: "game.a", key: "player:1", payload: `{"level":7}`, headers: `{"tenant":"eu"}`},
		buried{subject: "game.b", payload: "plain text"},
		buried{subject: "game.c", payload: raw},
	)
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, outbox.Raw{Subject: "game.later", Key: "player:1"}, outbox.Raw{Subject: "game.later"}))

	shown := c.mustRun(t, "dead", "show", text(ids[0])[0])
	for _, want := range []string{
		eventIDs[0], "game.a", "player:1, of which 1 event waits in outbox.events", "the broker said no", "tenant: eu",
		"payload, 11 bytes", "    \"level\": 7\n", "nobody has retried it yet",
	} {
		require.Contains(t, shown, want)
	}
	require.Contains(t, c.mustRun(t, "dead", "show", eventIDs[1]), "  plain text\n")
	require.Contains(t, c.mustRun(t, "dead", "show", eventIDs[2]), "and 90 bytes more; --payload writes them all")
	require.Equal(t, raw, c.mustRun(t, "dead", "show", eventIDs[2], "--payload"))

	require.Equal(t, 2, c.run(t, "dead", "show", "nonsense").code)
	got := c.run(t, "dead", "show", "999")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "no dead letter has the id 999")

	c.mustRun(t, "dead", "discard", eventIDs[1], "--note=not needed", "--by=alice")
	got = c.run(t, "dead", "show", eventIDs[1])
	require.Equal(t, 1, got.code)
	require.Regexp(t, `cause: \S+ discarded by postgres \(alice\): not needed`, got.err)
}

func TestDeadRetryPutsEventsBackWhereTheyWere(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	ids, eventIDs := buryByHand(t, db.Pool,
		buried{subject: "game.a", key: "k", payload: "first", headers: `{"tenant":"eu"}`}, buried{subject: "game.b", payload: "second"})
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), db.Pool, outbox.Raw{Subject: "game.taken"}))
	_, err := db.Pool.Exec(t.Context(), "insert into outbox.held_keys (key, dead_id, event_id) values ('k', $1, $2)", ids[0], eventIDs[0])
	require.NoError(t, err)
	taken, takenEvent := buryByHand(t, db.Pool, buried{id: ids[1] + 1, subject: "game.c", payload: "third"})
	before := epoch(t, db.Pool)

	out := c.mustRun(t, "dead", "retry", "--all", "--wait=0", "--by=alice", "--note=the limit was raised")
	require.Contains(t, out, "retried 3 dead letters")
	require.Contains(t, out, "1 of them got a new id")
	require.Contains(t, out, "no broker is configured that could be read back")
	require.Zero(t, rowCount(t, db.Pool, "outbox.dead_letters"))
	require.Zero(t, rowCount(t, db.Pool, "outbox.held_keys"))
	require.Greater(t, epoch(t, db.Pool), before)

	type event struct {
		ID             int64
		EventID        string
		Subject        string
		Payload        []byte
		Headers, Dated bool
	}
	rows, err := db.Pool.Query(t.Context(), `select id, event_id::text, subject, payload, headers = '{"tenant": "eu"}' is true,
		created_at < now() - interval '23 hours' from outbox.events where subject <> 'game.taken' order by id`)
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	require.NoError(t, err)
	newID := events[2].ID
	require.Greater(t, newID, taken[0])
	require.Equal(t, []event{
		{ids[0], eventIDs[0], "game.a", []byte("first"), true, true},
		{ids[1], eventIDs[1], "game.b", []byte("second"), false, true},
		{newID, takenEvent[0], "game.c", []byte("third"), false, true},
	}, events)

	log := readLog(t, db.Pool)
	require.Len(t, log, 3)
	require.Equal(t, logged{
		Action: "retry", Actor: "postgres (alice)", Note: "the limit was raised", DeadID: ids[0], EventID: eventIDs[0], Subject: "game.a",
		Key: "k", Reason: "refused", Error: "the broker said no", NewID: &ids[0],
	}, log[0])
	require.Equal(t, newID, *log[2].NewID)
	require.Equal(t, taken[0], log[2].DeadID)
}

func TestDeadDryRunsChangeNothing(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	buryByHand(t, db.Pool, buried{subject: "game.a"}, buried{subject: "game.a"}, buried{subject: "game.b", reason: "too_large"})
	before := epoch(t, db.Pool)
	for _, verb := range []string{"retry", "discard"} {
		out := c.mustRun(t, "dead", verb, "--subject=game.>", "--dry-run")
		require.Contains(t, out, "would "+verb+" 3 dead letters")
		require.Regexp(t, `2 +refused +game\.a\n1 +too_large +game\.b\n`, out)
		require.Contains(t, out, "nothing was changed")
	}
	require.Equal(t, 3, rowCount(t, db.Pool, "outbox.dead_letters"))
	require.Zero(t, rowCount(t, db.Pool, "outbox.dead_letter_log"))
	require.Equal(t, before, epoch(t, db.Pool))
}

func TestDeadWrongUsage(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "postgres://nobody@127.0.0.1:1/none")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"retry nothing":     {[]string{"retry"}, "which dead letters is not said"},
		"discard nothing":   {[]string{"discard", "--note=x"}, "which dead letters is not said"},
		"all and some":      {[]string{"retry", "--all", "--key=k"}, "--all is given together"},
		"no note":           {[]string{"discard", "--all"}, "--note is missing"},
		"blank note":        {[]string{"discard", "--all", "--note= "}, "--note is missing"},
		"empty key":         {[]string{"discard", "--key=", "--subject=a", "--note=x"}, "--key is empty"},
		"empty reason":      {[]string{"retry", "--reason="}, "--reason is empty"},
		"bad id":            {[]string{"retry", "game.a"}, "neither the id of a row"},
		"bad pattern":       {[]string{"list", "--subject=a..b"}, "no pattern of subjects"},
		"bad time":          {[]string{"list", "--since=yesterday"}, "is no time"},
		"empty time":        {[]string{"list", "--since=1h", "--until=2h"}, "is empty"},
		"bad limit":         {[]string{"list", "--limit=-1"}, "--limit is -1"},
		"bad sort":          {[]string{"list", "--sort=size"}, `--sort is "size"`},
		"bad wait":          {[]string{"retry", "--all", "--wait=-1s"}, "--wait is -1s"},
		"show without id":   {[]string{"show"}, "accepts 1 arg"},
		"unknown verb":      {[]string{"lsit"}, "did you mean list?"},
		"nothing to follow": {nil, "a subcommand is missing"},
	} {
		got := c.run(t, append([]string{"dead"}, tc.args...)...)
		require.Equal(t, 2, got.code, "%s: %s", name, got.err)
		require.Contains(t, got.err, tc.want, name)
	}
}

func TestDeadNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	ids, _ := buryByHand(t, db.Pool, buried{subject: "game.a"})
	missing := outbox.NewID().String()
	got := c.run(t, append([]string{"dead", "retry", missing, "--wait=0"}, text(ids...)...)...)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "retried 1 dead letter\n")
	require.Contains(t, got.err, "no dead letter has the id "+missing)
	require.Equal(t, 1, c.run(t, "dead", "discard", missing, "--note=x").code)
	require.Contains(t, c.mustRun(t, "dead", "discard", "--key=none", "--note=x"), "nothing to do")
}

func TestDeadRetryLeavesWhatTheRulesRefuse(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	letters := make([]buried, 20)
	for i := range letters {
		letters[i] = buried{subject: fmt.Sprintf("game.%d", i)}
	}
	letters[7].subject, letters[13].headers = "game..seven", `{"Nats-Msg-Id":"x"}`
	ids, _ := buryByHand(t, db.Pool, letters...)

	got := c.run(t, "dead", "retry", "--all", "--wait=0")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "retried 18 dead letters")
	require.Regexp(t, fmt.Sprintf(`not retried: %d .*subject_without_empty_tokens`, ids[7]), got.out)
	require.Regexp(t, fmt.Sprintf(`not retried: %d .*headers_names_valid_and_not_reserved`, ids[13]), got.out)
	require.Contains(t, got.err, "outbox.events refuses 2 dead letters")
	require.Equal(t, 18, rowCount(t, db.Pool, "outbox.events"))
	require.Equal(t, 2, rowCount(t, db.Pool, "outbox.dead_letters"))
	require.Len(t, readLog(t, db.Pool), 18)

	before := epoch(t, db.Pool)
	require.Equal(t, 1, c.run(t, "dead", "retry", "--all", "--wait=0").code)
	require.Equal(t, before, epoch(t, db.Pool), "the relay does not read again for nothing")
}

func TestDeadDiscardKeepsTheTrail(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	ids, eventIDs := buryByHand(t, db.Pool, buried{subject: "game.a", key: "k", payload: "secret"}, buried{subject: "game.b"})
	_, err := db.Pool.Exec(t.Context(), "insert into outbox.held_keys (key, dead_id, event_id) values ('k', $1, $2)", ids[0], eventIDs[0])
	require.NoError(t, err)
	before := epoch(t, db.Pool)
	require.Equal(t, "discarded 1 dead letter\n", c.mustRun(t, "dead", "discard", "--key=k", "--note=not worth it", "--by=alice"))
	require.Equal(t, 1, rowCount(t, db.Pool, "outbox.dead_letters"))
	require.Zero(t, rowCount(t, db.Pool, "outbox.held_keys"))
	require.Greater(t, epoch(t, db.Pool), before)
	require.Equal(t, []logged{{
		Action: "discard", Actor: "postgres (alice)", Note: "not worth it", DeadID: ids[0], EventID: eventIDs[0], Subject: "game.a",
		Key: "k", Reason: "refused", Error: "the broker said no",
	}}, readLog(t, db.Pool))
}

func TestOperatorMayWorkOnDeadLettersAndNothingElse(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	operator, relayer := newRole(t, db), newRole(t, db)
	_, err := db.Pool.Exec(t.Context(), "select outbox.grant_operator($1::text::regrole), outbox.grant_relay($2::text::regrole)",
		operator.quoted(), relayer.quoted())
	require.NoError(t, err)
	const line = `insert into outbox.dead_letter_log (action, actor, dead_id, event_id, subject, reason, error)
		values ('retry', 'a', 1, gen_random_uuid(), 'a', 'refused', '')`
	own := []string{
		"insert into outbox.events (id, event_id, subject, payload, created_at) overriding system value values (1, gen_random_uuid(), 'a', '', now())",
		"update outbox.control set epoch = epoch + 1",
		"delete from outbox.held_keys",
		"select from outbox.dead_letter_log",
		line,
		"update outbox.dead_letter_log set outcome = 'stored'",
	}
	var operators, relayers []attempt
	for _, statement := range own {
		operators, relayers = append(operators, attempt{statement, true}), append(relayers, attempt{statement, false})
	}
	try(t, connect(t, relayer.url), relayers)
	try(t, connect(t, operator.url), append(operators,
		attempt{"delete from outbox.dead_letters returning *", true},
		attempt{"delete from outbox.dead_letter_log", false}, // the trail stays
		attempt{"truncate outbox.dead_letter_log", false},
		attempt{"update outbox.dead_letters set payload = ''", false},
		attempt{"update outbox.events set payload = ''", false},
		attempt{"select setval('outbox.events_id_seq', 1)", false},
		attempt{"select outbox.grant_operator(current_user::regrole)", false},
	))
}

func TestDeadRights(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	ids, _ := buryByHand(t, db.Pool, buried{subject: "game.a"}, buried{subject: "game.b"})
	grant := func(r role, function string) {
		_, err := db.Pool.Exec(t.Context(), "select outbox."+function+"($1::text::regrole)", r.quoted())
		require.NoError(t, err)
	}
	stranger, relayer, operator := newRole(t, db), newRole(t, db), newRole(t, db)
	grant(relayer, "grant_relay")
	grant(operator, "grant_operator")

	next := func(r role) string { return "run: select outbox.grant_operator('" + r.name + "')" }
	requireStartFails(t, newCLI(t, stranger.url).run(t, "dead", "list"), 1, next(stranger))
	c := newCLI(t, relayer.url)
	require.Len(t, listed(t, c), 2)
	requireStartFails(t, c.run(t, "dead", "show", text(ids[0])[0]), 1, next(relayer))
	requireStartFails(t, c.run(t, "dead", "retry", "--all", "--wait=0"), 1, next(relayer))
	requireStartFails(t, c.run(t, "dead", "discard", "--all", "--note=x"), 1, next(relayer))
	require.Equal(t, 2, rowCount(t, db.Pool, "outbox.dead_letters"))

	c = newCLI(t, operator.url)
	c.mustRun(t, "dead", "show", text(ids[0])[0])
	c.mustRun(t, append([]string{"dead", "retry", "--wait=0", "--by="}, text(ids[0])...)...)
	c.mustRun(t, "dead", "discard", "--all", "--note=x", "--by=bob")
	log := readLog(t, db.Pool)
	require.Equal(t, []string{operator.name, operator.name + " (bob)"}, []string{log[0].Actor, log[1].Actor})

	requireStartFails(t, newCLI(t, harness.EmptyPostgres(t).URL).run(t, "dead", "list"), 1, "next:  run: outbox-relay migrate up")
}

package integration_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay/selection"
)

// Rows that are older than the rule, or were written past it, become dead letters, and hold up
// nobody. What others have stored with such headers stops neither a relay that begins nor verify.
func TestHeadersWithAMeaningToNATSClients(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	for _, status := range []string{"shipped", "404", "409", "503"} {
		_, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: b.stream.subject + ".from_elsewhere", Header: nats.Header{
			"Status": {status}, "Description": {"Consumer Deleted"},
		}})
		require.NoError(t, err)
	}
	_, err := b.db.Pool.Exec(t.Context(), "alter table outbox.events drop constraint events_headers_valid")
	require.NoError(t, err)
	for _, headers := range []string{
		`{"a": "1"}`, `{"Status": "404"}`, `{"sTATUS": "shipped", "a": "1"}`, `{"Description": "x"}`, `{"a": "2"}`,
	} {
		_, err := b.db.Pool.Exec(t.Context(), `
			insert into outbox.events (subject, key, headers, payload) values ($1, 'k', $2, '')`, b.stream.subject+".x", headers)
		require.NoError(t, err)
	}
	b.relay(t, nil)
	requireSettled(t, b.db.Pool)

	require.Equal(t, 4+2, b.stream.count())
	require.Equal(t, 3, rowCount(t, b.db.Pool, "outbox.dead_letters"))
	rows, err := b.db.Pool.Query(t.Context(), "select id, reason, error from outbox.dead_letters order by id")
	require.NoError(t, err)
	defer rows.Close()
	for i, name := range []string{"Status", "sTATUS", "Description"} {
		require.True(t, rows.Next())
		var id int64
		var reason, cause string
		require.NoError(t, rows.Scan(&id, &reason, &cause))
		assert.EqualValues(t, i+2, id)
		assert.Equal(t, "bad_header", reason)
		assert.Contains(t, cause, "the header "+name+" is reserved")
		assert.Contains(t, cause, "discard the event")
	}
	report, findings := b.verify(t, selection.Selection{})
	require.Empty(t, findings)
	require.EqualValues(t, 2, report.Events)
}

// A database of an older version whose services wrote such headers is migrated all the same, and
// refuses them from then on.
func TestStatusHeadersOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	server := harness.Postgres(t)
	db := openSQL(t, server.URL)
	downTo(t, db, 13)
	const write = `insert into outbox.events (subject, headers, payload) values ('game.x', '{"Status": "404"}', '')`
	mustExec(t, db, write)
	_, err := migrations.Up(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, 1, rowCount(t, server.Pool, "outbox.events"))
	_, err = db.ExecContext(t.Context(), write)
	requireState(t, err, "23514")
}

package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// busyTimeout is how long a condition is waited for that takes a second on an idle machine.
const busyTimeout = 2 * time.Minute

// unconfigured is a running relay without a broker.
type unconfigured struct {
	*relayProcess
	c cli
}

// startUnconfigured starts a relay without a broker, which keeps nothing that it takes for
// acknowledged.
func startUnconfigured(t testing.TB, databaseURL string, env ...string) unconfigured {
	t.Helper()
	c := newCLI(t, databaseURL, append(env, "OUTBOX_RELAY_RETENTION=0")...)
	return unconfigured{relayProcess: c.start(t), c: c}
}

// requireNotReady waits until /readyz says that the relay is not ready, with each of some texts,
// and checks that status says the same.
func (u unconfigured) requireNotReady(t testing.TB, texts ...string) {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		var code int
		code, body = u.get(t, "/readyz")
		return code == http.StatusServiceUnavailable &&
			!slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(body, text) })
	}, busyTimeout, 20*time.Millisecond, "/readyz does not say %q", texts)
	requireStatus(t, u.c, u.relayProcess, texts...)
	_, metrics := u.get(t, "/metrics")
	require.NotContains(t, metrics, "\noutbox_relay_broker_up{", "a broker that there is not is neither up nor down")
	require.Regexp(t, `outbox_relay_leading{[^}]*} 0\n`, metrics)
}

// awaitLogged waits until each of some events is in the log.
func (u unconfigured) awaitLogged(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.Eventually(t, func() bool { return strings.Contains(u.logged(), id) }, busyTimeout, 10*time.Millisecond, id)
	}
}

// publishKeyed publishes events of one key and returns their ids.
func publishKeyed(t testing.TB, c cli, subject string, events int) (ids []string) {
	t.Helper()
	for i := range events {
		ids = append(ids, strings.TrimSpace(c.mustRun(t, "publish", subject+".a", fmt.Sprintf(`{"n":%d}`, i), "--key=player:1")))
	}
	return ids
}

// requireStoredIDs waits until a stream holds the events with these ids, in this order, and nothing
// else.
func requireStoredIDs(t testing.TB, s stream, ids []string) {
	t.Helper()
	require.Eventually(t, func() bool { return s.count() >= len(ids) }, busyTimeout, 20*time.Millisecond)
	var stored []string
	for _, msg := range s.read(t) {
		stored = append(stored, msg.Headers().Get("Nats-Msg-Id"))
	}
	require.Equal(t, ids, stored)
}

func TestARelayWithoutABrokerConsumesNothing(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	env, subject := ownStream(t, harness.NATS(t))
	u := startUnconfigured(t, db.URL)
	require.Contains(t, u.logged(), "MQ not configured, using noop publisher")
	require.Contains(t, u.logged(), "NOTHING IS PUBLISHED")
	ids := publishKeyed(t, u.c, subject, 3)
	u.awaitLogged(t, ids...)
	ids = append(ids, publishKeyed(t, u.c, subject, 1)...)
	u.awaitLogged(t, ids...)
	u.requireNotReady(t, "no broker is configured", `mq.nats_url is "" (default)`, `redis.host is "" (default)`, "wait in Postgres")
	requireStatus(t, u.c, u.relayProcess, "4 events\n")
	require.Equal(t, 4, waiting(t, db.Pool))
	for _, table := range []string{"outbox.receipts", "outbox.positions", "outbox.dead_letters"} {
		require.Zero(t, rowCount(t, db.Pool, table), table)
	}
	for _, id := range ids {
		require.Equal(t, 1, strings.Count(u.logged(), id), "the relay has looked again, and logs no event twice")
	}
	code, _ := u.stop(t)
	require.Zero(t, code, u.logged())

	newCLI(t, db.URL, env...).start(t)
	requireStoredIDs(t, stream{url: harness.NATS(t), name: subject}, ids)
}

// TestARelayWithABrokerLeadsBesideOneWithout starts a relay with a broker while one without has a
// new outbox to itself.
func TestARelayWithABrokerLeadsBesideOneWithout(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	env, subject := ownStream(t, harness.NATS(t))
	u := startUnconfigured(t, db.URL)
	ids := publishKeyed(t, u.c, subject, 2)
	u.awaitLogged(t, ids...)

	leader := newCLI(t, db.URL, env...).start(t)
	s := stream{url: harness.NATS(t), name: subject}
	requireStoredIDs(t, s, ids)
	u.requireNotReady(t, "no broker is configured", "this outbox is led by ", "leaves its events alone")
	more := publishKeyed(t, u.c, subject, 2)
	requireStoredIDs(t, s, append(ids, more...))
	for _, id := range more {
		require.NotContains(t, u.logged(), id)
	}
	requireSettled(t, db.Pool)
	code, _ := leader.get(t, "/readyz")
	require.Equal(t, http.StatusOK, code)
}

// TestARelayWithoutABrokerLeavesAServedOutboxAlone is the sidecar whose variable is empty.
func TestARelayWithoutABrokerLeavesAServedOutboxAlone(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	env, subject := ownStream(t, harness.NATS(t))
	c := newCLI(t, db.URL, env...)
	first := c.start(t)
	ids := publishKeyed(t, c, subject, 1)
	s := stream{url: harness.NATS(t), name: subject}
	requireStoredIDs(t, s, ids)
	requireSettled(t, db.Pool)
	code, _ := first.stop(t)
	require.Zero(t, code, first.logged())
	term := leaseTerm(t, db)

	u := startUnconfigured(t, db.URL, "OUTBOX_MQ_NATS_URL=")
	u.requireNotReady(t, "no broker is configured", `mq.nats_url is "" (OUTBOX_MQ_NATS_URL)`,
		"this outbox was published to jetstream "+subject, "leaves its events alone")
	ids = append(ids, publishKeyed(t, u.c, subject, 3)...)
	require.Equal(t, 1, s.count())
	second := c.start(t)
	requireStoredIDs(t, s, ids)
	second.await(t, "relay is leading")
	require.Equal(t, term+1, leaseTerm(t, db), "no other relay has led")
	for _, id := range ids {
		require.NotContains(t, u.logged(), id)
	}
}

func leaseTerm(t testing.TB, db *harness.Database) int64 {
	t.Helper()
	lease, err := relay.ReadLease(t.Context(), db.Pool)
	require.NoError(t, err)
	return lease.Term
}

// TestATableThatStartsAgainIsLoggedAgain empties the table as people do while they develop.
func TestATableThatStartsAgainIsLoggedAgain(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	u := startUnconfigured(t, db.URL)
	u.awaitLogged(t, publishKeyed(t, u.c, "game", 3)...)
	_, err := db.Pool.Exec(t.Context(), "truncate outbox.events restart identity")
	require.NoError(t, err)
	u.awaitLogged(t, publishKeyed(t, u.c, "game", 1)...)
}

// TestReceiptsOfARelayThatOnlyLoggedCoverNothing takes over from an older version, which
// acknowledged what it only logged.
func TestReceiptsOfARelayThatOnlyLoggedCoverNothing(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	env, subject := ownStream(t, harness.NATS(t))
	c := newCLI(t, db.URL, env...)
	ids := publishKeyed(t, c, subject, 3)
	_, err := db.Pool.Exec(t.Context(), `
		insert into outbox.receipts (broker, stream, incarnation, ids, events, first_sequence, last_sequence, first_settled_at, settled_at)
		select 'noop', '', '', range_agg(int8range(id, id, '[]')), count(*), 1, 0, now() - interval '1 day', now() - interval '1 day'
		from outbox.events`)
	require.NoError(t, err)
	p := c.start(t)
	requireStoredIDs(t, stream{url: harness.NATS(t), name: subject}, ids)
	requireSettled(t, db.Pool)
	p.await(t, "events that were only logged are published")
}

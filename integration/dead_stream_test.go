package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
	"github.com/gameoutbox/relay/relay/deadletter"
)

// smallEvents is the limit of the streams of these tests, in bytes: what is larger is refused for good until an operator raises it.
const smallEvents = 1000

// deadStand is a database and a stream with a small limit, which the program works with.
type deadStand struct {
	cli
	stream
	pool *pgxpool.Pool
}

// newDeadStand returns a stand without a relay; env is what the program has besides.
func newDeadStand(t testing.TB, env ...string) deadStand {
	t.Helper()
	db, server := harness.Postgres(t), harness.NATS(t)
	own, subject := ownStream(t, server)
	s := deadStand{
		cli: newCLI(t, db.URL, slices.Concat(own, env)...), stream: stream{url: server, name: subject, subject: subject}, pool: db.Pool,
	}
	t.Cleanup(func() {
		s.withStream(t, func(ctx context.Context, js natsjs.JetStream) error { return js.DeleteStream(ctx, s.name) })
	})
	s.withStream(t, func(ctx context.Context, js natsjs.JetStream) error {
		_, err := js.CreateStream(ctx, natsjs.StreamConfig{
			Name: s.name, Subjects: []string{subject + ".>"}, MaxMsgSize: smallEvents, AllowBatchPublish: true, AllowDirect: true,
		})
		return err
	})
	return s
}

func (s deadStand) withStream(t testing.TB, work func(context.Context, natsjs.JetStream) error) {
	t.Helper()
	nc, err := nats.Connect(s.url)
	require.NoError(t, err)
	defer nc.Close()
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	require.NoError(t, work(context.WithoutCancel(t.Context()), js))
}

// change alters the stream as an operator does.
func (s deadStand) change(t testing.TB, change func(*natsjs.StreamConfig)) {
	t.Helper()
	s.withStream(t, func(ctx context.Context, js natsjs.JetStream) error {
		existing, err := js.Stream(ctx, s.name)
		if err != nil {
			return err
		}
		cfg := existing.CachedInfo().Config
		change(&cfg)
		_, err = js.UpdateStream(ctx, cfg)
		return err
	})
}

func (s deadStand) raiseLimit(t testing.TB) {
	t.Helper()
	s.change(t, func(c *natsjs.StreamConfig) { c.MaxMsgSize = -1 })
}

// purge removes everything from the stream, which still recognises what it has seen.
func (s deadStand) purge(t testing.TB) {
	t.Helper()
	s.withStream(t, func(ctx context.Context, js natsjs.JetStream) error {
		existing, err := js.Stream(ctx, s.name)
		if err != nil {
			return err
		}
		return existing.Purge(ctx)
	})
}

// numbered is the payload of these tests.
type numbered struct {
	N   int    `json:"n"`
	Pad string `json:"pad,omitempty"`
}

// publish writes events first to last of a key, of which those in big are too large for the stream.
func (s deadStand) publish(t testing.TB, key string, first, last int, big ...int) {
	t.Helper()
	var events []outbox.Event
	for n := first; n <= last; n++ {
		body := numbered{N: n}
		if slices.Contains(big, n) {
			body.Pad = strings.Repeat("x", smallEvents)
		}
		payload, err := json.Marshal(body)
		require.NoError(t, err)
		events = append(events, outbox.Raw{Subject: s.subject + ".event", Key: key, Payload: payload})
	}
	require.NoError(t, outbox.PublishOutsideTx(t.Context(), s.pool, events...))
}

// numbers returns what the stream holds of a key, in its order.
func (s deadStand) numbers(t testing.TB, key string) (all []int) {
	t.Helper()
	for _, msg := range s.read(t) {
		if msg.Headers().Get("Outbox-Key") == key {
			var body numbered
			require.NoError(t, json.Unmarshal(msg.Data(), &body))
			all = append(all, body.N)
		}
	}
	return all
}

// upTo returns the numbers from 1 to n, without those left out.
func upTo(n int, without ...int) (all []int) {
	for i := 1; i <= n; i++ {
		if !slices.Contains(without, i) {
			all = append(all, i)
		}
	}
	return all
}

func (s deadStand) requireCount(t testing.TB, want int) {
	t.Helper()
	require.Eventually(t, func() bool { return s.count() == want }, cliTimeout, 20*time.Millisecond, "the stream does not come to hold %d", want)
}

// toDead makes an event a dead letter by hand, as no relay would: its receipt stays.
func (s deadStand) toDead(t testing.TB, n int) (eventID string) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), `
		with gone as (delete from outbox.events where convert_from(payload, 'UTF8')::jsonb ->> 'n' = $1::text returning *)
		insert into outbox.dead_letters
		    (id, event_id, subject, key, headers, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
		select id, event_id, subject, key, headers, payload, created_at, 'attempts', 'timeout', 20, now(), now() from gone
		returning event_id::text`, fmt.Sprint(n)).Scan(&eventID))
	return eventID
}

// asked returns the program as it asks the running relay.
func (s deadStand) asked(p *relayProcess) cli {
	c := s.cli
	c.env = slices.Concat(c.env, []string{"OUTBOX_ADMIN_LISTEN=" + strings.TrimPrefix(p.admin, "http://")})
	return c
}

// TestAHeldKeyWaitsForAPerson is the policy hold from end to end: what waits, what flows, and in which order it all goes on.
func TestAHeldKeyWaitsForAPerson(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t, "OUTBOX_RELAY_AFTER_DEAD_LETTER=hold")
	p := s.start(t)
	s.publish(t, "retried", 1, 600, 2)
	s.publish(t, "discarded", 1, 30, 2)
	s.publish(t, "other", 1, 30)
	s.requireCount(t, 32)
	s.publish(t, "retried", 601, 1200) // written while the key is held
	s.publish(t, "other", 31, 60)
	s.requireCount(t, 62)
	require.Equal(t, upTo(1), s.numbers(t, "retried"))
	require.Equal(t, upTo(60), s.numbers(t, "other"))

	var status string
	require.Eventually(t, func() bool {
		status = s.asked(p).mustRun(t, "status")
		return strings.Contains(status, "2 keys with 1226 events, until dead letters are retried or discarded")
	}, cliTimeout, 100*time.Millisecond, "status says %s", &status)
	require.Regexp(t, `dead letters +2\n`, status)
	require.Contains(t, s.mustRun(t, "dead", "list"), "retried (held)")
	id := listed(t, s.cli, "--key=retried")
	require.Contains(t, s.mustRun(t, "dead", "show", text(id...)[0]),
		"retried, of which 1198 events wait in outbox.events until its dead letters are retried or discarded")

	again := s.run(t, "dead", "retry", "--key=retried")
	require.Equal(t, 1, again.code)
	require.Contains(t, again.out, "1 dead again")
	require.Contains(t, again.err, "the stream is not known to hold 1 of 1 dead letter")
	require.Equal(t, 62, s.count(), "the key is held again before anything of it flows")

	s.raiseLimit(t)
	out := s.mustRun(t, "dead", "retry", "--key=retried", "--note=the limit was raised")
	require.Contains(t, out, "1 stored: now in the stream")
	s.requireCount(t, 62+1199)
	require.Equal(t, upTo(1200), s.numbers(t, "retried"), "the retried event has its old place")
	require.Equal(t, upTo(1), s.numbers(t, "discarded"), "the other key is still held")

	s.mustRun(t, "dead", "discard", "--key=discarded", "--note=not needed")
	s.requireCount(t, 62+1199+28)
	require.Equal(t, upTo(30, 2), s.numbers(t, "discarded"))
	require.Eventually(t, func() bool { return strings.Contains(s.asked(p).mustRun(t, "status"), "no key\n") },
		cliTimeout, 100*time.Millisecond)

	log := readLog(t, s.pool)
	require.Equal(t, []string{"dead", "stored", ""}, []string{log[0].Outcome, log[1].Outcome, log[2].Outcome})
	require.Equal(t, "the limit was raised", log[1].Note)
	require.Equal(t, "too_large", log[1].Reason)
}

// TestAKeyIsHeldUntilItsLastDeadLetter retries one of two, which then waits itself.
func TestAKeyIsHeldUntilItsLastDeadLetter(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t, "OUTBOX_RELAY_AFTER_DEAD_LETTER=hold")
	s.publish(t, "k", 1, 4)
	for _, n := range []int{1, 3} {
		s.toDead(t, n)
	}
	_, err := s.pool.Exec(t.Context(), "insert into outbox.held_keys (key, dead_id, event_id) select key, id, event_id from outbox.dead_letters")
	require.NoError(t, err)
	s.start(t)
	ids := listed(t, s.cli, "--sort=id")

	got := s.run(t, append([]string{"dead", "retry", "--wait=4s"}, text(ids[0])...)...)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "1 waiting, because another dead letter holds the key")
	require.Contains(t, got.err, "deal with the other dead letters of the keys that are held")
	require.Zero(t, s.count())

	s.mustRun(t, append([]string{"dead", "retry"}, text(ids[1])...)...)
	s.requireCount(t, 4)
	require.Equal(t, upTo(4), s.numbers(t, "k"))
}

func TestARetryThatTheStreamRecognises(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t)
	s.start(t)
	s.publish(t, "k", 1, 3)
	requireSettled(t, s.pool)
	eventID := s.toDead(t, 2)

	out := s.mustRun(t, "dead", "retry", eventID)
	require.Contains(t, out, "1 duplicate: the stream recognised the event id and stored nothing new")
	require.Regexp(t, eventID+` \S+: the stream already holds this event, at sequence 2 since `, out)
	require.Equal(t, 3, s.count())
	require.Zero(t, rowCount(t, s.pool, "outbox.dead_letters"))
	require.Equal(t, "duplicate", readLog(t, s.pool)[0].Outcome)
	require.Contains(t, s.run(t, "dead", "show", eventID).err, "retried by postgres")
}

// TestARetryThatTheStreamDrops lets the stream recognise what it does not hold any more.
func TestARetryThatTheStreamDrops(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t, "OUTBOX_RELAY_HEAL=off")
	s.change(t, func(c *natsjs.StreamConfig) { c.Duplicates = 15 * time.Second })
	s.start(t)
	s.publish(t, "k", 1, 2)
	requireSettled(t, s.pool)
	s.purge(t)
	eventID := s.toDead(t, 2)

	got := s.run(t, "dead", "retry", eventID)
	require.Equal(t, 1, got.code, got.out)
	require.Contains(t, got.out, "1 duplicate")
	require.Regexp(t, eventID+` \S+: the stream had the id within its duplicate window of 15s, and no longer holds it; `+
		`it is a dead letter again: retry it after \d`, got.out)
	require.Contains(t, got.err, "retry what was dropped when the duplicate window is over")
	require.Equal(t, "duplicate", readLog(t, s.pool)[0].Outcome)
	require.Contains(t, s.mustRun(t, "dead", "list", "--reason=refused"), eventID, "it is where a person sees it")
	require.Zero(t, s.count())

	require.Eventually(t, func() bool { return s.run(t, "dead", "retry", eventID).code == 0 }, 2*cliTimeout, 100*time.Millisecond)
	require.Equal(t, []int{2}, s.numbers(t, "k"))
	require.Zero(t, waiting(t, s.pool))
}

func TestARetryWithoutARelaySaysSo(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t)
	s.publish(t, "k", 1, 2)
	eventID := s.toDead(t, 1)
	got := s.run(t, "dead", "retry", eventID, "--wait=300ms")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "1 waiting in outbox.events: the relay has settled nothing for 300ms")
	require.Contains(t, got.err, "next:  see outbox-relay status whether a relay leads")

	s.start(t)
	s.requireCount(t, 2)
	require.Equal(t, upTo(2), s.numbers(t, "k"))
}

func TestARetryThatNobodyWaitsForSaysWhenTheWindowIsOver(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t)
	s.publish(t, "k", 1, 2)
	out := s.mustRun(t, "dead", "retry", s.toDead(t, 1), "--wait=0")
	require.Regexp(t, `note: until \d\S+Z stream "`+s.name+`" may drop some of them as duplicates, for it recognises for 2m0s`, out)

	ids, _ := buryByHand(t, s.pool, buried{subject: s.subject + ".old", failed: time.Hour})
	out = s.mustRun(t, "dead", "retry", text(ids...)[0], "--wait=0")
	require.Contains(t, out, "(2m0s) is over for all of them")
}

func TestARetryWhoseStreamCannotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t)
	s.start(t)
	s.publish(t, "k", 1, 1)
	requireSettled(t, s.pool)
	blind := s.cli
	blind.env = slices.Concat(blind.env, []string{"OUTBOX_MQ_NATS_URL=nats://" + harness.FreeAddress(t), "OUTBOX_MQ_CONNECT_TIMEOUT=500ms"})
	got := blind.run(t, "dead", "retry", s.toDead(t, 1))
	require.Equal(t, 1, got.code)
	require.Regexp(t, `1 acknowledged, but not seen in the stream: .*broker unavailable`, got.out)
	require.Contains(t, got.err, "look for the event ids in the stream by hand")
	require.Empty(t, readLog(t, s.pool)[0].Outcome)
}

// TestARetryOfAStreamThatConsumersEmpty cannot tell a consumed event from a dropped one, and does not pretend to.
func TestARetryOfAStreamThatConsumersEmpty(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t)
	s.withStream(t, func(ctx context.Context, js natsjs.JetStream) error {
		if err := js.DeleteStream(ctx, s.name); err != nil {
			return err
		}
		_, err := js.CreateStream(ctx, natsjs.StreamConfig{
			Name: s.name, Subjects: []string{s.subject + ".>"}, Retention: natsjs.WorkQueuePolicy, AllowDirect: true,
		})
		return err
	})
	s.start(t)
	s.publish(t, "k", 1, 1)
	requireSettled(t, s.pool)
	s.purge(t)
	got := s.run(t, "dead", "retry", s.toDead(t, 1))
	require.Equal(t, 1, got.code)
	require.Regexp(t, `1 acknowledged, but not seen in the stream: .*consumers remove events`, got.out)
	require.Zero(t, rowCount(t, s.pool, "outbox.dead_letters"), "it may have been consumed")
}

// manyDead puts n dead letters into the table, of which none was ever published.
func (s deadStand) manyDead(t testing.TB, n int) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `
		insert into outbox.dead_letters
		    (id, event_id, subject, key, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
		select nextval('outbox.events_id_seq'), gen_random_uuid(), $1, 'k' || i % 10, convert_to(json_build_object('n', i)::text, 'UTF8'),
		       now(), 'refused', 'no', 1, now(), now()
		from generate_series(1, $2::int) as i`, s.subject+".bulk", n)
	require.NoError(t, err)
}

func TestManyDeadLettersAreRetried(t *testing.T) {
	t.Parallel()
	for _, retention := range []string{"5m", "0"} {
		t.Run("retention "+retention, func(t *testing.T) {
			t.Parallel()
			const n = 4000
			s := newDeadStand(t, "OUTBOX_RELAY_RETENTION="+retention)
			s.start(t)
			s.manyDead(t, n)
			out := s.mustRun(t, "dead", "retry", "--subject="+s.subject+".>")
			require.Contains(t, out, fmt.Sprintf("%d stored", n))
			require.Equal(t, n, s.count())
			for key := range 10 {
				all := s.numbers(t, fmt.Sprintf("k%d", key))
				require.Len(t, all, n/10)
				require.True(t, slices.IsSorted(all), "the order of a key is that of the ids")
			}
			require.Equal(t, n, rowCount(t, s.pool, "outbox.dead_letter_log where outcome = 'stored' and new_id = dead_id"))
			require.Zero(t, waiting(t, s.pool))
		})
	}
}

func TestManyDeadLettersAreDiscarded(t *testing.T) {
	t.Parallel()
	s := newDeadStand(t)
	s.manyDead(t, 3000)
	require.Equal(t, "discarded 3000 dead letters\n", s.mustRun(t, "dead", "discard", "--all", "--note=test data"))
	require.Zero(t, rowCount(t, s.pool, "outbox.dead_letters"))
	require.Equal(t, 3000, rowCount(t, s.pool, "outbox.dead_letter_log where action = 'discard' and note = 'test data'"))
}

// TestAnInterruptedRetryGoesOn sends SIGINT while the first chunk waits for a lock.
func TestAnInterruptedRetryGoesOn(t *testing.T) {
	t.Parallel()
	const n = 5000
	s := newDeadStand(t)
	s.manyDead(t, n)
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from outbox.control for update")
	require.NoError(t, err)

	cmd := exec.Command(s.program, "dead", "retry", "--all")
	var out, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, t.TempDir(), &out, &stderr
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		return rowCount(t, s.pool, "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") == 1
	}, cliTimeout, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, tx.Rollback(t.Context()))
	_ = cmd.Wait() // the exit code is in ProcessState
	require.Equal(t, 1, cmd.ProcessState.ExitCode())

	left := rowCount(t, s.pool, "outbox.dead_letters")
	require.Positive(t, left)
	require.Less(t, left, n)
	require.Contains(t, stderr.String(), fmt.Sprintf("interrupted: retried %d of %d dead letters", n-left, n))
	require.Contains(t, out.String(), "note: until ")
	require.Equal(t, n-left, rowCount(t, s.pool, "outbox.events"))
	require.Equal(t, n-left, rowCount(t, s.pool, "outbox.dead_letter_log"))

	require.Contains(t, s.mustRun(t, "dead", "retry", "--all", "--wait=0"), fmt.Sprintf("retried %d dead letters", left))
	require.Equal(t, n, rowCount(t, s.pool, "outbox.events"))
}

// TestTwoOperatorsRetryTheSame lets two work on the same dead letters at once.
func TestTwoOperatorsRetryTheSame(t *testing.T) {
	t.Parallel()
	const n = 3000
	s := newDeadStand(t)
	s.manyDead(t, n)
	counts := make(chan int, 2)
	for range 2 {
		go func() {
			done, err := deadletter.NewStore(s.pool).Retry(context.Background(), deadletter.Selection{}, deadletter.Trail{}, func(int) {})
			if err != nil {
				t.Error(err)
			}
			counts <- len(done.Retried)
		}()
	}
	require.Equal(t, n, <-counts+<-counts, "each is retried once")
	require.Equal(t, n, rowCount(t, s.pool, "outbox.events"))
	require.Equal(t, n, rowCount(t, s.pool, "outbox.dead_letter_log"))
	require.Equal(t, string(relay.ReasonRefused), readLog(t, s.pool)[0].Reason)
}

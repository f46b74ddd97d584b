package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// crew is some relay processes on one outbox, which they reach at url, and a game that feeds it.
type crew struct {
	t      *testing.T
	db     *harness.Database
	s      stream
	g      *game
	relays []*process
}

// newCrew makes relays with a lease of 2 s unless the settings say otherwise, and starts none.
func newCrew(t *testing.T, db *harness.Database, url string, s stream, size int, settings ...string) *crew {
	t.Helper()
	c := &crew{t: t, db: db, s: s, g: newGame(t, db, 30, s.subject)}
	for range size {
		c.relays = append(c.relays, newProcess(t, url, s, settings...))
	}
	return c
}

// start starts all relays and waits until one leads.
func (c *crew) start() *process {
	c.t.Helper()
	for _, p := range c.relays {
		p.start()
	}
	return c.awaitLeader()
}

// stop ends all relays cleanly.
func (c *crew) stop() {
	c.t.Helper()
	for _, p := range c.relays {
		p.stop()
	}
}

// lease returns who leads, by the database.
func (c *crew) lease() relay.Lease {
	c.t.Helper()
	l, err := relay.ReadLease(context.WithoutCancel(c.t.Context()), c.db.Pool)
	require.NoError(c.t, err)
	return l
}

// leader returns the running relay that has the lease; nil if none of them has it.
func (c *crew) leader() *process {
	c.t.Helper()
	l := c.lease()
	for _, p := range c.relays {
		if l.Held && p.cmd != nil && strings.Contains(l.Owner, fmt.Sprintf("/%d/", p.cmd.Process.Pid)) {
			return p
		}
	}
	return nil
}

func (c *crew) awaitLeader() (leader *process) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { leader = c.leader(); return leader != nil }, 30*time.Second, 5*time.Millisecond, "nobody leads")
	return leader
}

// awaitMore waits until the stream has grown.
func (c *crew) awaitMore(before int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.s.count() > before }, 3*time.Second+slack, 5*time.Millisecond, "nothing flows")
}

// others returns the relays beside one.
func (c *crew) others(p *process) (others []*process) {
	for _, each := range c.relays {
		if each != p {
			others = append(others, each)
		}
	}
	return others
}

// requireWhole waits until everything is settled, and checks that the stream has each event once, in the order of its key.
func (c *crew) requireWhole() {
	c.t.Helper()
	requireSettled(c.t, c.db.Pool)
	c.g.requireWhole(c.t, c.s.moves(c.t))
}

// longestPause returns the longest time between two events in the stream that follow each other, by the clock of the broker.
func (s stream) longestPause(t testing.TB) (longest time.Duration) {
	t.Helper()
	var last time.Time
	for _, msg := range s.read(t) {
		meta, err := msg.Metadata()
		require.NoError(t, err)
		if !last.IsZero() {
			longest = max(longest, meta.Timestamp.Sub(last))
		}
		last = meta.Timestamp
	}
	return longest
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// pauseFor stops the process without its knowledge, until the time is over or resume is called.
func (p *process) pauseFor(d time.Duration) {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	paused := p.cmd.Process
	p.paused = time.AfterFunc(d, func() { _ = paused.Signal(syscall.SIGCONT) }) // it may be killed by then
}

// resume lets a paused process go on; it does nothing to others.
func (p *process) resume() {
	p.t.Helper()
	if p.paused != nil && p.paused.Stop() {
		p.signal(syscall.SIGCONT)
	}
	p.paused = nil
}

// slack is what a test grants a machine that is busy with other things.
const slack = 4 * time.Second

// TestAStopHandsTheLeaseOver stops the leader under load, again and again.
func TestAStopHandsTheLeaseOver(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	// A standby that was not told would take over after the lease of a minute.
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "handover"), 2, "OUTBOX_RELAY_LEASE=1m")
	leader := c.start()
	stopGame := c.g.start(t, 2)
	for range atSize(4, 20) {
		before, term := c.s.count(), c.lease().Term
		require.Eventually(t, func() bool { return c.s.count() > before+20 }, 30*time.Second, 5*time.Millisecond)
		leader.signal(syscall.SIGTERM)
		told := time.Now()
		var next relay.Lease
		require.Eventually(t, func() bool { next = c.lease(); return next.Held && next.Term > term }, slack, time.Millisecond)
		t.Logf("another relay leads %v after SIGTERM", time.Since(told).Round(time.Millisecond))
		require.NoError(t, <-leader.exited)
		leader.start()
		leader = c.awaitLeader()
	}
	stopGame()
	c.requireWhole()
	pause := c.s.longestPause(t)
	t.Logf("%d events, longest pause %v", c.s.count(), pause.Round(time.Millisecond))
	require.Less(t, pause, slack)
	c.stop()
}

// TestAKilledLeaderIsFollowed kills the leader under load.
func TestAKilledLeaderIsFollowed(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "killed-leader"), 3)
	leader := c.start()
	stopGame := c.g.start(t, 2)
	for range atSize(3, 10) {
		before := c.s.count()
		require.Eventually(t, func() bool { return c.s.count() > before+20 }, 30*time.Second, 5*time.Millisecond)
		term := c.lease().Term
		leader.kill()
		killed := time.Now()
		require.Eventually(t, func() bool {
			if c.lease().Term == term { // what it had sent may still be stored
				before = c.s.count()
				return false
			}
			return c.s.count() > before
		}, 3*time.Second+slack, 5*time.Millisecond)
		t.Logf("events flow %v after kill -9, with a lease of 2s", time.Since(killed).Round(time.Millisecond))
		leader.start()
		leader = c.awaitLeader()
	}
	stopGame()
	c.requireWhole()
	c.stop()
}

// TestALeaseThatLapsesIsRenewed keeps the database from renewing a lease in time, as one does that has too much to do.
func TestALeaseThatLapsesIsRenewed(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "lapsed"), 1)
	p := c.start()
	publishOne(t, db, c.s.subject+".x")
	requireSettled(t, db.Pool)
	term := c.lease().Term
	busy, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = busy.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = busy.Exec(t.Context(), "select from outbox.lease for update")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.status().State == relay.StateConnecting }, 30*time.Second, 5*time.Millisecond)
	code, _ := p.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	publishOne(t, db, c.s.subject+".x")
	expired := time.Now().Add(3 * time.Second)
	require.Eventually(t, func() bool { return time.Now().After(expired) }, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, 1, c.s.count(), "nothing is published without a lease")

	require.NoError(t, busy.Rollback(t.Context()))
	requireSettled(t, db.Pool)
	require.Equal(t, 2, c.s.count())
	require.Equal(t, term, c.lease().Term)
	p.requireReady()
	_, metrics := p.get("/metrics")
	require.Contains(t, metrics, `outbox_relay_sessions_total{broker="jetstream",source="default"} 1`+"\n")
	require.Contains(t, metrics, `outbox_relay_leases_lost_total{broker="jetstream",source="default"} 1`+"\n")
	require.Contains(t, metrics, `outbox_relay_leading{broker="jetstream",source="default"} 1`+"\n")
	c.stop()
}

// TestALeaderWithoutItsLeaseChangesNothing takes the lease away while the leader waits for an answer of the broker: that it stored one
// event and refused another for good.
func TestALeaderWithoutItsLeaseChangesNothing(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	asked, taken := make(chan struct{}), make(chan struct{})
	var once sync.Once
	broker := &memory{fault: func(events []relay.Event) ([]relay.Outcome, error) {
		once.Do(func() { close(asked); <-taken })
		outcomes := make([]relay.Outcome, len(events))
		outcomes[0].Stored = true
		for i := range events[1:] {
			outcomes[i+1].Err = &relay.PermanentError{Reason: relay.ReasonRefused, Err: errors.New("no")}
		}
		return outcomes, nil
	}}
	_, err := db.Pool.Exec(t.Context(), "insert into outbox.events (subject, payload) values ('game.x', ''), ('game.y', '')")
	require.NoError(t, err)
	r := startRelay(t, db.URL, broker, func(c *relay.Config) { c.Lease = 10 * time.Second })
	<-asked
	_, err = db.Pool.Exec(t.Context(), "update outbox.lease set owner = 'another', term = term + 1, expires_at = now() + interval '1 hour'")
	require.NoError(t, err)
	close(taken)
	require.Eventually(t, func() bool { return r.Status().State == relay.StateStandby }, 30*time.Second, 5*time.Millisecond)
	require.Equal(t, "another", r.Status().Lease.Owner)
	require.Zero(t, rowCount(t, db.Pool, "outbox.receipts"))
	require.Zero(t, rowCount(t, db.Pool, "outbox.positions"))
	require.Zero(t, rowCount(t, db.Pool, "outbox.dead_letters"))
	require.Equal(t, 2, rowCount(t, db.Pool, "outbox.events"))
}

// TestEverybodyKnowsWhoLeads asks at the leader and at a standby.
func TestEverybodyKnowsWhoLeads(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "who-leads"), 2)
	leader := c.start()
	standby := c.others(leader)[0]
	require.Eventually(t, func() bool { return standby.status().State == relay.StateStandby }, 30*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return leader.status().State == relay.StateLeading }, 30*time.Second, 10*time.Millisecond)
	l := c.lease()
	require.True(t, l.Held)
	require.Equal(t, leader.status().Name, l.Owner)
	require.WithinDuration(t, time.Now(), l.Since, time.Minute)
	require.WithinDuration(t, time.Now().Add(2*time.Second), l.Until, 5*time.Second)
	for _, p := range c.relays {
		require.Eventually(t, func() bool { // a standby sees each renewal some time later
			s := p.status()
			return s.Lease.Held && s.Lease.Owner == l.Owner && s.Lease.Term == l.Term && s.Lease.Since.Equal(l.Since) && s.Lease.Until.After(l.Until)
		}, 10*time.Second, 20*time.Millisecond, "%+v", p.status().Lease)
		_, metrics := p.get("/metrics")
		require.Contains(t, metrics, fmt.Sprintf(`outbox_relay_lease{broker="jetstream",owner="%s",source="default"} 1`, l.Owner))
		require.Contains(t, metrics, fmt.Sprintf(`outbox_relay_lease_term{broker="jetstream",source="default"} %d`, l.Term))
	}
	command := cli{program: standby.path, env: standby.env}
	require.Contains(t, command.mustRun(t, "status"), fmt.Sprintf("%s since %s, term %d, until ", l.Owner, l.Since.Format(time.RFC3339), l.Term))
	var printed struct {
		Sources []struct{ Lease relay.Lease }
	}
	require.NoError(t, json.Unmarshal([]byte(command.mustRun(t, "status", "--json")), &printed))
	require.Equal(t, l.Owner, printed.Sources[0].Lease.Owner)
	c.stop()
	require.Contains(t, command.mustRun(t, "status"), "gave the lease back")
}

// TestAStopGivesBackWhatItHasJustTaken stops a standby at random moments around that at which it takes the lease.
func TestAStopGivesBackWhatItHasJustTaken(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	for range 40 {
		leader, stopLeader := runRelay(t, db.URL, &memory{}, nil)
		requireStateOf(t, leader, relay.StateLeading)
		standby, stopStandby := runRelay(t, db.URL, &memory{}, nil)
		requireStateOf(t, standby, relay.StateStandby)
		stopLeader()
		<-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond) // at random moments is the point
		stopStandby()
		l, err := relay.ReadLease(t.Context(), db.Pool)
		require.NoError(t, err)
		require.Empty(t, l.Owner, "a relay that has stopped keeps nobody waiting")
	}
}

func requireStateOf(t testing.TB, r *relay.Relay, state relay.State) {
	t.Helper()
	require.Eventually(t, func() bool { return r.Status().State == state }, 20*time.Second, time.Millisecond)
}

// TestTheClockIsWrongByAnHour sets the clock of the database against that of the relays, which is what a wrong clock of their hosts
// comes to.
func TestTheClockIsWrongByAnHour(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	exec := func(sql string) {
		t.Helper()
		_, err := db.Pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	set := func(offset string) {
		exec(fmt.Sprintf(`create or replace function pg_catalog.clock_timestamp() returns timestamptz language sql volatile
			as $$ select pg_catalog.right_clock_timestamp() + interval '%s' $$`, offset))
	}
	exec("set allow_system_table_mods = on; alter function pg_catalog.clock_timestamp() rename to right_clock_timestamp; reset allow_system_table_mods")
	set("1 hour")
	c := newCrew(t, db, db.URL, newStream(t, harness.NATS(t), "clock"), 3)
	leader := c.start()
	require.Eventually(t, func() bool { // the database knows of the lease before the relay does
		l := leader.status().Lease
		return l != nil && l.Until.After(time.Now().Add(50*time.Minute)) && l.Until.Before(time.Now().Add(70*time.Minute))
	}, 10*time.Second, 5*time.Millisecond)
	stopGame := c.g.start(t, 2)
	flows := func() {
		t.Helper()
		before := c.s.count()
		require.Eventually(t, func() bool { return c.s.count() > before+20 }, 10*time.Second, 5*time.Millisecond)
	}
	for _, offset := range []string{"1 hour", "-1 hour", "1 hour"} {
		set(offset) // the second step puts it back under a lease, the third forward
		flows()
		leader = c.awaitLeaderIn(10 * time.Second)
		leader.kill()
		before := c.s.count()
		require.Eventually(t, func() bool { return c.s.count() > before }, 3*time.Second+slack, 5*time.Millisecond, "nobody follows at %s", offset)
		leader.start()
	}
	stopGame()
	c.requireWhole()
	c.stop()
}

// awaitLeaderIn asks the relays themselves, for the database's clock cannot be asked where it is wrong.
func (c *crew) awaitLeaderIn(patience time.Duration) (leader *process) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		for _, p := range c.relays {
			if p.status().State == relay.StateLeading {
				leader = p
				return true
			}
		}
		return false
	}, patience, 10*time.Millisecond, "nobody leads")
	return leader
}

// TestPostgresFailsOverUnderALease promotes a standby of Postgres while a relay leads.
func TestPostgresFailsOverUnderALease(t *testing.T) {
	t.Parallel()
	pair := harness.StartPostgresPair(t)
	db := pair.Primary.Database(t)
	url := pair.URL(db)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	both := &harness.Database{URL: url, Pool: pool}
	c := newCrew(t, both, url, newStream(t, harness.NATS(t), "failed-over"), 3)
	c.g.rough = true // its connections to the old primary are dead
	c.start()
	c.g.run(t, 2, 2*time.Second)
	requireSettled(t, db.Pool)
	term := c.lease().Term
	awaitReplay(t, pair)
	pair.Primary.Kill()
	pair.Promote()
	promoted := time.Now()
	require.Eventually(t, func() bool {
		l, err := relay.ReadLease(t.Context(), pool)
		return err == nil && l.Held && l.Term > term
	}, 30*time.Second, 10*time.Millisecond, "nobody leads")
	t.Logf("a relay leads %v after the promotion", time.Since(promoted).Round(time.Millisecond))
	c.g.run(t, 2, 2*time.Second)
	c.requireWhole()
	c.stop()
}

// TestTheConnectionsOfManyCopies counts what a leader and its standbys cost.
func TestTheConnectionsOfManyCopies(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	copies := atSize(10, 50)
	s := newStream(t, harness.NATS(t), "copies")
	for range copies {
		startRelay(t, db.URL, s.publisher(t), nil)
	}
	publishOne(t, db, s.subject+".x")
	requireSettled(t, db.Pool)
	var connections int
	require.Eventually(t, func() bool {
		require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and application_name = 'outbox-relay'`).Scan(&connections))
		return connections <= copies-1+relay.MinConns
	}, time.Minute, 50*time.Millisecond, "%d copies have %d connections", copies, connections)
	t.Logf("%d copies have %d connections", copies, connections)
}

// TestARelayThatIsCutOffFromTheDatabaseStops blackholes the leader's way to Postgres, and not the one to the broker.
func TestARelayThatIsCutOffFromTheDatabaseStops(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	way := harness.StartProxy(t, db.URL)
	c := newCrew(t, db, way.URL, newStream(t, harness.NATS(t), "cut-off"), 1)
	other := newProcess(t, db.URL, c.s)
	cut := c.start()
	c.relays = append(c.relays, other)
	other.start()
	stopGame := c.g.start(t, 2)
	before := c.s.count()
	require.Eventually(t, func() bool { return c.s.count() > before+20 }, 30*time.Second, 5*time.Millisecond)
	way.Blackhole()
	require.Eventually(t, func() bool { return c.leader() == other }, 3*time.Second+slack, 5*time.Millisecond)
	require.NotEqual(t, relay.StateLeading, cut.status().State)
	code, _ := cut.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	pauseAtRandom(time.Second)
	way.Restore()
	require.Eventually(t, func() bool { return cut.status().State == relay.StateStandby }, 60*time.Second, 20*time.Millisecond)
	cut.requireReady()
	stopGame()
	c.requireWhole()
	c.stop()
}

// harm does something to one of the relays that happens to relays. Half of the time it hits the leader. One that was paused before is
// let go on first.
func (c *crew) harm() (what string) {
	c.t.Helper()
	victim := c.relays[rand.IntN(len(c.relays))]
	if leader := c.leader(); leader != nil && rand.IntN(2) == 0 {
		victim = leader
	}
	victim.resume()
	switch rand.IntN(3) {
	case 0:
		victim.kill()
		victim.start()
		return "killed"
	case 1:
		victim.stop()
		victim.start()
		return "stopped"
	}
	victim.pauseFor(500*time.Millisecond + rand.N(8*time.Second))
	return "paused"
}

// TestAFloodOfNotificationsCostsAStandbyLittle whoever sends it: anybody who may connect may notify.
func TestAFloodOfNotificationsCostsAStandbyLittle(t *testing.T) {
	t.Parallel()
	db := harness.StartPostgres(t, harness.PostgresOptions{}).Database(t)
	anybody := newRole(t, db)
	leader := startRelay(t, db.URL, &memory{}, nil)
	require.Eventually(t, func() bool { return leader.Status().State == relay.StateLeading }, 20*time.Second, 5*time.Millisecond)
	standby := startRelay(t, db.URL+"&application_name=standby", &memory{}, nil)
	require.Eventually(t, func() bool { return standby.Status().State == relay.StateStandby }, 20*time.Second, 5*time.Millisecond)

	flood, err := pgx.Connect(t.Context(), anybody.url+"&application_name=flood")
	require.NoError(t, err)
	defer func() { _ = flood.Close(context.WithoutCancel(t.Context())) }()
	looks := func() (n int) { // each reads the row of the lease
		t.Helper()
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select coalesce(seq_scan, 0) + coalesce(idx_scan, 0) from pg_stat_user_tables where relid = 'outbox.lease'::regclass").Scan(&n))
		return n
	}
	before, sent := looks(), 0
	for began := time.Now(); time.Since(began) < 5*time.Second; sent++ {
		_, err := flood.Exec(t.Context(), "notify outbox_lease")
		require.NoError(t, err)
	}
	require.Greater(t, sent, 500)
	require.Less(t, looks()-before, sent/4, "%d notifications", sent)
	require.Condition(t, func() bool {
		return slices.ContainsFunc(standby.Status().Warnings, func(w string) bool {
			return strings.Contains(w, strconv.Itoa(int(flood.PgConn().PID()))) && strings.Contains(w, anybody.name) && strings.Contains(w, "flood")
		})
	}, "%v", standby.Status().Warnings)
}

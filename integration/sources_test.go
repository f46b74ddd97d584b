package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// shards are the databases of a sharded game, which share a stream: the ids of their events are the same, and so are their keys.
type shards struct {
	server *harness.PostgresServer
	s      stream
	names  []string
	urls   []string // by which the relay reaches them
	dbs    []*harness.Database
}

// newShards makes n databases on a server of the test's own, and names a stream.
func newShards(t testing.TB, n int, name string) *shards {
	t.Helper()
	settings := map[string]string{"max_connections": "1000"}
	f := &shards{
		server: harness.StartPostgres(t, harness.PostgresOptions{Settings: settings}),
		s:      newStream(t, harness.StartNATS(t, harness.NATSOptions{}).URL, name),
	}
	for i := range n {
		f.add(t, fmt.Sprintf("s%02d", i))
	}
	return f
}

// add makes one more database.
func (f *shards) add(t testing.TB, name string) *harness.Database {
	t.Helper()
	db := f.server.Database(t)
	f.names, f.urls, f.dbs = append(f.names, name), append(f.urls, db.URL), append(f.dbs, db)
	return db
}

// file writes a configuration of all of them, with more settings for every source, and returns its path.
func (f *shards) file(t testing.TB, more string) string {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "mq: {nats_url: %q, stream_name: %q, subjects: [%q]}\n%s\nsources:\n", f.s.url, f.s.name, f.s.subject+".>", more)
	for i, name := range f.names {
		fmt.Fprintf(&text, "  - {name: %s, postgres: {url: %q}}\n", name, f.urls[i])
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// process returns a relay of all of them.
func (f *shards) process(t testing.TB, more string) *process {
	t.Helper()
	p := newIdleProcess(t)
	p.args = []string{"--config", f.file(t, more)}
	return p
}

// game returns the game of one of them. Its subjects tell it from the others.
func (f *shards) game(t testing.TB, i int) *game {
	t.Helper()
	return newGame(t, f.dbs[i], 6, f.s.subject+"."+f.names[i])
}

// requireWhole fails unless the stream holds what each game committed.
func (f *shards) requireWhole(t testing.TB, games []*game) {
	t.Helper()
	moves := make(map[string][]move)
	for _, msg := range f.s.read(t) {
		var m move
		require.NoError(t, json.Unmarshal(msg.Data(), &m))
		of := strings.Split(msg.Subject(), ".")[1]
		moves[of] = append(moves[of], m)
	}
	for i, g := range games {
		require.NotEmpty(t, moves[f.names[i]], f.names[i])
		g.requireWhole(t, moves[f.names[i]])
	}
}

// requireSettled waits until nothing is left to publish in any of them.
func (f *shards) requireSettled(t testing.TB) {
	t.Helper()
	for _, db := range f.dbs {
		requireSettled(t, db.Pool)
	}
}

// leads returns how many sources a relay leads.
func (p *process) leads(f *shards) (n int) {
	_, body := p.get("/api/v1/status")
	for _, name := range f.names {
		if statusOf(body, name).State == relay.StateLeading {
			n++
		}
	}
	return n
}

// TestSourcesDelayNoOther runs one relay for many databases. One of them does not exist at first, and one cannot be reached for a while.
func TestSourcesDelayNoOther(t *testing.T) {
	t.Parallel()
	const n = 12
	f := newShards(t, n, "shards")
	proxy := harness.StartProxy(t, f.urls[3])
	f.urls[3] = proxy.URL
	late := len(f.names)
	f.names, f.urls = append(f.names, "late"), append(f.urls, withDatabase(t, f.urls[0], "late"))

	p := f.process(t, "")
	p.start()
	require.Eventually(t, func() bool { return p.leads(f) == n }, 30*time.Second, 20*time.Millisecond)
	code, body := p.get("/readyz")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "ready, 12 of 13 sources; not ready: late: cannot connect to Postgres: ")

	games := make([]*game, n)
	var stops []func()
	for i := range games {
		games[i] = f.game(t, i)
		stops = append(stops, games[i].start(t, 1))
	}
	proxy.Cut()
	require.Eventually(t, func() bool { return waiting(t, f.dbs[3].Pool) > 20 }, 30*time.Second, 20*time.Millisecond)
	for _, stop := range stops {
		stop()
	}
	for i, db := range f.dbs {
		if i != 3 {
			requireSettled(t, db.Pool)
		}
	}
	require.NotZero(t, waiting(t, f.dbs[3].Pool), "the others are settled before its database is back")
	_, body = p.get("/readyz")
	require.Contains(t, body, "ready, 11 of 13 sources; not ready: s03: cannot ")
	proxy.Restore()

	c := cli{program: p.path, env: []string{"HOME=/nonexistent", "OUTBOX_ADMIN_LISTEN=" + p.admin}}
	file := "--config=" + p.args[1]
	_, err := f.dbs[0].Pool.Exec(t.Context(), "create database late")
	require.NoError(t, err)
	require.Contains(t, c.mustRun(t, "migrate", "up", file, "--source=late"), "applied ")
	require.Contains(t, c.mustRun(t, "publish", f.s.subject+".late.x", "{}", file, "--source=late"), "-")
	require.Eventually(t, func() bool {
		_, body := p.get("/readyz")
		return body == "ready\n" && p.leads(f) == n+1
	}, 60*time.Second, 20*time.Millisecond)
	f.requireSettled(t)
	require.Eventually(t, func() bool {
		_, body := p.get("/api/v1/status")
		return statusOf(body, "late").Published == 1
	}, 30*time.Second, 20*time.Millisecond)

	f.requireTold(t, p, c, file, late)
	require.Less(t, p.stop(), 5*time.Second)
	f.requireWhole(t, games)
	requireLogged(t, p.output.String(), f.names)
}

// TestASourceBeginsOnItsFallback starts a relay of several databases, one of which has a NATS that is missing.
func TestASourceBeginsOnItsFallback(t *testing.T) {
	t.Parallel()
	f := newShards(t, 3, "begin")
	r := newStandby(t, harness.Redis(t), fmt.Sprintf("begin:%d", time.Now().UnixNano()))
	p := f.process(t, "")
	p.env = append(append(p.env, r.env()...), "OUTBOX_SOURCES_S01_MQ_NATS_URL=nats://"+harness.FreeAddress(t), "OUTBOX_FAILOVER_AFTER=10m")
	for i, db := range f.dbs {
		publishOne(t, db, f.s.subject+"."+f.names[i])
	}
	p.start()
	f.requireSettled(t)
	require.Equal(t, 2, f.s.count())
	require.Equal(t, 1, r.count(t))
	p.requireReady()
	p.stop()
	var said []string
	for line := range strings.Lines(p.output.String()) {
		if strings.Contains(line, `"message":"failed to connect NATS, trying Redis Stream"`) {
			said = append(said, line)
		}
	}
	require.Len(t, said, 1)
	require.Contains(t, said[0], `"source":"s01"`)
}

// withDatabase returns the URL of another database of the same server.
func withDatabase(t testing.TB, databaseURL, name string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// requireTold checks what metrics and commands say of each source.
func (f *shards) requireTold(t testing.TB, p *process, c cli, file string, late int) {
	t.Helper()
	_, metrics := p.get("/metrics")
	table := c.mustRun(t, "status", file)
	for _, name := range f.names {
		require.Contains(t, metrics, fmt.Sprintf("outbox_relay_leading{broker=\"jetstream\",source=%q} 1\n", name))
		require.Regexp(t, `(?m)^`+name+` +leading +yes +0 +0s +0 +\d+ +jetstream ok +\S+ +\d+ +\S+Z$`, table)
	}
	require.Regexp(t, `(?m)^relay +leading for `, c.mustRun(t, "status", file, "--source="+f.names[late]))
	require.Contains(t, c.mustRun(t, "verify", file, "--source="+f.names[1]), "missing       0\n",
		"what other sources have published to the stream does not confuse it")
	got := c.run(t, "verify", file)
	require.Equal(t, 2, got.code)
	require.Contains(t, got.err, "name one with --source: s00, s01")
	got = c.run(t, "dead", "show", "1", file, "--source="+f.names[1])
	require.Contains(t, got.err, "next:  see outbox-relay dead list --source "+f.names[1]+"\n")
}

// requireLogged fails unless each line that speaks of a relay names its source.
func requireLogged(t testing.TB, log string, names []string) {
	t.Helper()
	seen := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		var line struct{ Message, Source string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		seen[line.Source]++
		if strings.HasPrefix(line.Message, "relay is ") || strings.HasPrefix(line.Message, "NATS ") {
			require.Contains(t, names, line.Source, lines.Text())
		}
	}
	for _, name := range names {
		require.NotZero(t, seen[name], "no line about %s", name)
	}
}

// TestAQuietSourceKeepsUpWithItsStream is about two databases with one stream, of which one writes nothing: whoever leads that one next must
// not have to read all that the other has published.
func TestAQuietSourceKeepsUpWithItsStream(t *testing.T) {
	t.Parallel()
	busy, quiet := harness.Postgres(t), harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "keepup")
	startRelay(t, busy.URL, s.publisher(t), nil)
	_, stop := runRelay(t, quiet.URL, s.publisher(t), nil)
	publishOne(t, quiet, "keepup.quiet")
	requireSettled(t, quiet.Pool)
	const events = 20_000
	_, err := busy.Pool.Exec(t.Context(), "insert into outbox.events (subject, payload) select 'keepup.busy', 'x' from generate_series(1, $1)", events)
	require.NoError(t, err)
	requireSettled(t, busy.Pool)
	require.Eventually(t, func() bool { return settledTo(t, quiet) >= events }, 40*time.Second, 100*time.Millisecond)
	stop()

	publishOne(t, quiet, "keepup.quiet")
	_, stop = runRelay(t, quiet.URL, s.publisher(t), nil)
	requireSettled(t, quiet.Pool)
	stop()
	require.Equal(t, events+2, s.count())
}

// settledTo returns up to which sequence the stream is settled for an outbox.
func settledTo(t testing.TB, db *harness.Database) (last int64) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(context.WithoutCancel(t.Context()),
		"select last_sequence from outbox.positions order by id desc limit 1").Scan(&last))
	return last
}

// TestSourcesAreSharedOut adds relays, kills one and stops one, under load. They share the sources out evenly each time.
func TestSourcesAreSharedOut(t *testing.T) {
	t.Parallel()
	const n = 9
	f := newShards(t, n, "sharing")
	games := make([]*game, n)
	var stops []func()
	for i := range games {
		games[i] = f.game(t, i)
		stops = append(stops, games[i].start(t, 1))
	}
	one, two, three := f.process(t, ""), f.process(t, ""), f.process(t, "")
	one.start()
	f.requireSpread(t, "one relay", one)
	two.start()
	f.requireSpread(t, "a second is added", one, two)
	three.start()
	f.requireSpread(t, "a third is added", one, two, three)
	two.kill()
	f.requireSpread(t, "the second is killed", one, three)
	two.start()
	f.requireSpread(t, "the second is back", one, two, three)
	one.stop()
	f.requireSpread(t, "the first is stopped", two, three)
	for _, stop := range stops {
		stop()
	}
	f.requireSettled(t)
	f.requireWhole(t, games)
	for _, p := range []*process{two, three} {
		p.stop()
		require.NotContains(t, p.output.String(), "the safety sweep found")
	}
}

// requireSpread waits until the relays lead every source, and none of them two more than another.
func (f *shards) requireSpread(t testing.TB, when string, relays ...*process) {
	t.Helper()
	began := time.Now()
	var spread []int
	require.Eventually(t, func() bool {
		spread = spread[:0]
		total := 0
		for _, p := range relays {
			led := p.leads(f)
			spread = append(spread, led)
			total += led
		}
		return total == len(f.names) && slices.Max(spread)-slices.Min(spread) <= 1
	}, 2*time.Minute, 50*time.Millisecond, "%s: %v", when, &spread)
	t.Logf("%s: %v after %s", when, spread, time.Since(began).Round(100*time.Millisecond))
}

// TestSizeSources measures what many sources cost one relay, and whether they are served fairly: one of them has a large backlog to drain
// while the others get an event now and then.
func TestSizeSources(t *testing.T) {
	sources, backlog, rest := atSize(12, 100), atSize(20_000, 1_000_000), atSize(3*time.Second, 30*time.Second)
	f := newShards(t, sources, "many")
	p := f.process(t, "")
	began := time.Now()
	p.start()
	require.Eventually(t, func() bool { return p.leads(f) == sources }, 2*time.Minute, 50*time.Millisecond)
	t.Logf("%d sources: led after %s", sources, time.Since(began).Round(time.Millisecond))

	before := p.cost(t)
	<-time.After(rest) // the time over which the idle relay is measured, not a condition
	after := p.cost(t)
	t.Logf("%d idle sources: %.1f %% of a CPU, %.0f MiB resident, %.0f goroutines, %.0f file descriptors, %d connections to Postgres",
		sources, 100*(after.cpu-before.cpu)/rest.Seconds(), after.resident/(1<<20), after.goroutines, after.files, f.connections(t))

	hot := f.dbs[0].Pool
	_, err := hot.Exec(t.Context(), `insert into outbox.events (subject, key, payload)
		select 'many.s00.x', (i % 1000)::text, decode(repeat('ab', 256), 'hex') from generate_series(1, $1::int) as i`, backlog)
	require.NoError(t, err)
	drained := time.Now()
	trickle := 0
	for settled(t, hot) < backlog {
		i := 1 + trickle%(sources-1)
		require.NoError(t, outbox.PublishOutsideTx(t.Context(), f.dbs[i].Pool, outbox.Raw{Subject: "many." + f.names[i] + ".x", Payload: []byte("x")}))
		trickle++
	}
	rate := float64(backlog) / time.Since(drained).Seconds()
	f.requireSettled(t)
	peak := p.cost(t)
	late := f.latencies(t)
	require.Len(t, late, trickle)
	t.Logf("one source of %d drains %d events at %.0f a second, %.0f MiB resident; the others' %d events meanwhile: p50 %s, p99 %s, longest %s",
		sources, backlog, rate, peak.resident/(1<<20), trickle, late[len(late)/2], late[len(late)*99/100], late[len(late)-1])
	require.Less(t, late[len(late)-1], 10*time.Second, "a source waited for another one")
	p.stop()
}

// cost is what a relay uses.
type cost struct{ cpu, resident, goroutines, files float64 }

func (p *process) cost(t testing.TB) cost {
	t.Helper()
	_, metrics := p.get("/metrics")
	value := func(name string) (v float64) {
		_, rest, found := strings.Cut(metrics, "\n"+name+" ")
		require.True(t, found, name)
		_, err := fmt.Sscan(rest, &v)
		require.NoError(t, err)
		return v
	}
	return cost{value("process_cpu_seconds_total"), value("process_resident_memory_bytes"), value("go_goroutines"), value("process_open_fds")}
}

// settled returns how many events have a receipt.
func settled(t testing.TB, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "select coalesce(sum(events), 0) from outbox.receipts").Scan(&n))
	return n
}

// connections returns how many connections relays have to the server.
func (f *shards) connections(t testing.TB) (n int) {
	t.Helper()
	require.NoError(t, f.dbs[0].Pool.QueryRow(t.Context(),
		"select count(*) from pg_stat_activity where application_name = 'outbox-relay'").Scan(&n))
	return n
}

// latencies returns how long the events of all but the first source took from the insert to the stream, in ascending order.
func (f *shards) latencies(t testing.TB) (late []time.Duration) {
	t.Helper()
	for _, msg := range f.s.read(t) {
		if strings.HasPrefix(msg.Subject(), f.s.subject+"."+f.names[0]+".") {
			continue
		}
		created, err := time.Parse(time.RFC3339Nano, msg.Headers().Get("Outbox-Created-At"))
		require.NoError(t, err)
		meta, err := msg.Metadata()
		require.NoError(t, err)
		late = append(late, meta.Timestamp.Sub(created))
	}
	slices.Sort(late)
	return late
}

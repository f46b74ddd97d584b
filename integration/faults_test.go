package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// process is a relay as operators run it: the program, with its settings in the environment.
type process struct {
	t      testing.TB
	path   string
	args   []string // further arguments of run
	env    []string
	admin  string
	output strings.Builder
	cmd    *exec.Cmd
	exited chan error
	paused *time.Timer // lets it go on; nil if it is not paused
}

func newProcess(t testing.TB, databaseURL string, s stream, settings ...string) *process {
	t.Helper()
	return newProcessWith(t, databaseURL, append([]string{
		"OUTBOX_MQ_NATS_URL=" + s.url, "OUTBOX_MQ_STREAM_NAME=" + s.name, "OUTBOX_MQ_SUBJECTS=" + s.subject + ".>",
	}, settings...)...)
}

// newProcessWith returns a relay whose settings name the broker.
func newProcessWith(t testing.TB, databaseURL string, settings ...string) *process {
	t.Helper()
	p := newIdleProcess(t)
	// A relay that starts after a kill waits until the lease of the dead one has expired.
	p.env = append(append(p.env, "OUTBOX_POSTGRES_URL="+databaseURL, "OUTBOX_RELAY_LEASE=2s"), settings...)
	return p
}

// newIdleProcess returns a relay that is told nothing but where its admin server listens.
func newIdleProcess(t testing.TB) *process {
	t.Helper()
	p := &process{t: t, path: harness.BuildRelay(t), admin: harness.FreeAddress(t)}
	p.env = []string{"OUTBOX_ADMIN_LISTEN=" + p.admin}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("what troubled the relay:\n%s", p.troubles())
		}
	})
	return p
}

// troubles returns the lines of the log that are warnings or errors.
func (p *process) troubles() string {
	lines := strings.SplitAfter(p.output.String(), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, `"level":"info"`) }), "")
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.CommandContext(context.WithoutCancel(p.t.Context()), p.path, append([]string{"run"}, p.args...)...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(os.Environ(), p.env...), &p.output, &p.output
	p.cmd.Dir = p.t.TempDir()
	require.NoError(p.t, p.cmd.Start())
	p.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(p.cmd, p.exited)
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

// stop ends it as an operator does, and returns how long that took.
func (p *process) stop() time.Duration {
	p.t.Helper()
	began := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	err := <-p.exited
	p.cmd = nil
	require.NoError(p.t, err, "a clean stop exits 0:\n%s", p.output.String())
	return time.Since(began)
}

// get returns the status code and the body of an admin page; 0 while nobody listens.
func (p *process) get(path string) (int, string) {
	response, err := http.Get("http://" + p.admin + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// status returns what the relay says of its only source; the zero status while nobody listens.
func (p *process) status() relay.Status {
	_, body := p.get("/api/v1/status")
	return statusOf(body, "default")
}

// statusOf returns what a relay says of one source; the zero status if it says nothing.
func statusOf(body, source string) relay.Status {
	var all struct {
		Sources []struct {
			Source string `json:"source"`
			relay.Status
		} `json:"sources"`
	}
	_ = json.Unmarshal([]byte(body), &all)
	for _, each := range all.Sources {
		if each.Source == source {
			return each.Status
		}
	}
	return relay.Status{}
}

func (p *process) requireReady() {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		code, _ := p.get("/readyz")
		return code == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond, "the relay is not ready")
}

// TestKillNine kills the relay again and again under load.
func TestKillNine(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "killed")
	g := newGame(t, db, 30, s.subject)
	p := newProcess(t, db.URL, s, "OUTBOX_RELAY_LEASE=1s") // whose rest each start waits for
	end := time.Now().Add(20 * time.Second)
	stopGame := g.start(t, 8)
	kills := 0
	for ; time.Now().Before(end); kills++ {
		p.start()
		before := s.count()
		require.Eventually(t, func() bool { return s.count() > before }, 20*time.Second, 5*time.Millisecond, "nothing is published")
		pauseAtRandom(500 * time.Millisecond)
		p.kill()
	}
	stopGame()
	p.start()
	requireSettled(t, db.Pool)
	p.stop()
	g.requireWhole(t, s.moves(t))
	t.Logf("%d events, %d kills", s.count(), kills)
}

// pauseAtRandom lets a fault hit at any moment: here chance, and not a condition, is what the test wants.
func pauseAtRandom(most time.Duration) { <-time.After(rand.N(most)) }

// TestTheBrokerIsDownForAMinute watches the relay through an outage of JetStream.
func TestTheBrokerIsDownForAMinute(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	server := harness.StartNATS(t, harness.NATSOptions{})
	s := newStream(t, server.URL, "outage")
	g := newGame(t, db, 30, s.subject)
	p := newProcess(t, db.URL, s)
	p.start()
	p.requireReady()
	g.run(t, 4, 3*time.Second)

	stopGame := g.start(t, 4)
	server.Kill()
	down := time.Now()
	require.Eventually(t, func() bool {
		code, body := p.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "broker")
	}, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return p.status().Backlog.Events > 100 && p.status().Backlog.Lag > 1 }, 30*time.Second, 100*time.Millisecond)
	for time.Since(down) < time.Minute {
		code, _ := p.get("/healthz")
		require.Equal(t, http.StatusOK, code, "the process lives")
		<-time.After(time.Second) // the outage's length is what the test is about
	}
	server.Start()
	up := time.Now()
	stopGame()
	requireSettled(t, db.Pool)
	t.Logf("drained %v after the broker was back", time.Since(up).Round(10*time.Millisecond))
	p.requireReady()
	require.Zero(t, p.status().DeadLetters, "an outage makes no dead letters")
	g.requireWhole(t, s.moves(t))
}

// TestARelayStartsInAnOutage starts it before its broker.
func TestARelayStartsInAnOutage(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	server := harness.StartNATS(t, harness.NATSOptions{})
	server.Stop()
	s := newStream(t, server.URL, "early")
	p := newProcess(t, db.URL, s)
	p.start()
	publishOne(t, db, s.subject+".x")
	require.Eventually(t, func() bool { return p.status().Broker.State == relay.BrokerUnavailable }, 20*time.Second, 20*time.Millisecond)
	server.Start()
	requireSettled(t, db.Pool)
	require.Equal(t, 1, s.count())
	require.Contains(t, p.output.String(), "NATS JetStream connected successfully")
}

// TestPostgresGoesAway kills the database under load, twice.
func TestPostgresGoesAway(t *testing.T) {
	t.Parallel()
	server := harness.StartPostgres(t, harness.PostgresOptions{})
	db := server.Database(t)
	s := newStream(t, harness.NATS(t), "database")
	g := newGame(t, db, 30, s.subject)
	g.rough = true
	p := newProcess(t, db.URL, s)
	p.start()
	p.requireReady()
	stopGame := g.start(t, 4)
	for range 2 {
		before := s.count()
		require.Eventually(t, func() bool { return s.count() > before+100 }, 30*time.Second, 10*time.Millisecond)
		server.Kill()
		pauseAtRandom(time.Second)
		server.Start()
	}
	stopGame()
	requireSettled(t, db.Pool)
	p.stop()
	g.requireWhole(t, s.moves(t))
}

// TestTheNetworkIsCut breaks the relay's connections, to the database and to the broker, in both ways that networks have.
func TestTheNetworkIsCut(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	s := newStream(t, harness.NATS(t), "network")
	toDatabase, toBroker := harness.StartProxy(t, db.URL), harness.StartProxy(t, s.url)
	proxied := s
	proxied.url = toBroker.URL
	g := newGame(t, db, 30, s.subject)
	p := newProcess(t, toDatabase.URL, proxied, "OUTBOX_MQ_PUBLISH_TIMEOUT=2s")
	p.start()
	p.requireReady()
	stopGame := g.start(t, 4)
	for i, fault := range []func(){toBroker.Cut, toDatabase.Cut, toBroker.Blackhole, toDatabase.Blackhole} {
		before := s.count()
		require.Eventually(t, func() bool { return s.count() > before+50 }, 60*time.Second, 10*time.Millisecond, "nothing flows before fault %d", i)
		fault()
		pauseAtRandom(3 * time.Second)
		toBroker.Restore()
		toDatabase.Restore()
	}
	stopGame()
	requireSettled(t, db.Pool)
	p.stop()
	g.requireWhole(t, s.moves(t))
}

// TestAStopIsCleanAndBounded stops the relay under load, and in an outage.
func TestAStopIsCleanAndBounded(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	server := harness.StartNATS(t, harness.NATSOptions{})
	s := newStream(t, server.URL, "stopped")
	g := newGame(t, db, 30, s.subject)
	p := newProcess(t, db.URL, s, "OUTBOX_RELAY_SHUTDOWN_TIMEOUT=3s")
	for range 3 {
		p.start()
		p.requireReady()
		g.run(t, 4, time.Second)
		took := p.stop()
		require.Less(t, took, 3*time.Second)
		require.Equal(t, total(g.committed(t))-waiting(t, db.Pool), s.count(),
			"every event is in the stream or in the table, none in both")
	}
	p.start()
	p.requireReady()
	server.Pause() // connected, and silent
	g.run(t, 4, time.Second)
	require.Less(t, p.stop(), 4*time.Second, "a silent broker does not hold up the stop")
	server.Unpause()
	p.start()
	requireSettled(t, db.Pool)
	g.requireWhole(t, s.moves(t))
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// TestPeakMemory drains a backlog of large events with the program itself.
func TestPeakMemory(t *testing.T) {
	for name, insert := range map[string]string{
		"300 events of 1 MB": `select 'peak.large', decode(repeat('00', 1000000), 'hex'), null from generate_series(1, 300)`,
		"6,000 events of one header of 30 KB": `select 'peak.header', 'x', jsonb_build_object('baggage', repeat('A', 30000))
			from generate_series(1, 6000)`,
		"3,000 events of 2,000 headers": `select 'peak.headers', 'x',
				(select jsonb_object_agg('h' || i, '1') from generate_series(1, 2000) as i)
			from generate_series(1, 3000)`,
	} {
		t.Run(name, func(t *testing.T) {
			db := harness.Postgres(t)
			s := newStream(t, harness.NATS(t), "peak")
			run(t, db.Pool, `insert into outbox.events (subject, payload, headers) `+insert)
			p := newProcess(t, db.URL, s)
			p.start()
			requireSettled(t, db.Pool)
			peak := p.peakMemory()
			t.Logf("peak memory %d MiB", peak>>10)
			require.Less(t, peak>>10, 96)
			p.stop()
		})
	}
}

// peakMemory returns the peak memory of the process in KiB.
func (p *process) peakMemory() (peak int) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err, "this test reads the peak memory of a process from /proc, which Linux has")
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &peak); err == nil {
			break
		}
	}
	require.Positive(p.t, peak)
	return peak
}

// TestAnIdleRelayNoticesADeadBroker lets the broker die while there is nothing to publish: the probes tell it before an event does.
func TestAnIdleRelayNoticesADeadBroker(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	server := harness.StartNATS(t, harness.NATSOptions{})
	p := newProcess(t, db.URL, newStream(t, server.URL, "idle"))
	p.start()
	p.requireReady()
	server.Kill()
	require.Eventually(t, func() bool {
		code, body := p.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "broker")
	}, time.Minute, 100*time.Millisecond)
	code, _ := p.get("/healthz")
	require.Equal(t, http.StatusOK, code)
	server.Start()
	p.requireReady()
	p.stop()
}

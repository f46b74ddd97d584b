package integration_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// demoTimeout bounds everything that a demo does before and after its game.
const demoTimeout = 3 * time.Minute

func TestDemo(t *testing.T) {
	t.Parallel()
	program := buildDemo(t)
	t.Run("on a Postgres of its own", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--duration", "4s")
		require.Zero(t, d.wait(), "%s", d)
		d.assertBalanced()
		d.assertNothingLeft()
	})
	t.Run("with an outage, on a given server", func(t *testing.T) {
		t.Parallel()
		db := harness.EmptyPostgres(t)
		d := startDemo(t, program, "--duration", "9s", "--outage", "--postgres-url", db.URL)
		require.Zero(t, d.wait(), "%s", d)
		d.assertBalanced()
		assert.Greater(t, d.number(`The backlog grew from [\d,]+ to ([\d,]+) events and was drained`), 100)
		assert.Zero(t, d.number(`JetStream is down: .*, lost (\d+),`))
		d.assertPeak()
		d.assertNothingLeft()
		d.assertDatabaseDropped(db)
	})
	t.Run("with an outage, and Redis", func(t *testing.T) {
		t.Parallel()
		server := harness.Redis(t)
		d := startDemo(t, program, "--duration", "15s", "--outage", "--redis-url", server)
		require.Zero(t, d.wait(), "%s", d)
		d.assertBalanced()
		assert.Contains(t, d.String(), "Events go to Redis from now on, ")
		assert.Contains(t, d.String(), "Events go to JetStream again, ")
		inRedis := d.number(`its consumer received ([\d,]+) events meanwhile`)
		rehomed := d.number(`JetStream got ([\d,]+) of them afterwards`)
		assert.Greater(t, rehomed, 100)
		d.assertPeak()
		assert.LessOrEqual(t, rehomed, inRedis)
		assert.Contains(t, d.String(), "Redis balances too")
		d.assertNothingLeft()
		client := newStandby(t, server, "").client
		stream := regexp.MustCompile(`outbox_demo:[A-Z0-9]+`).FindString(d.String())
		require.NotEmpty(t, stream)
		assert.Zero(t, client.Exists(t.Context(), stream, "{"+stream+"}:outbox:ids", "{"+stream+"}:outbox:older").Val())
	})
	t.Run("with a Redis that is not there", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--duration", "15s", "--outage", "--redis-url", "redis://:hunter2@127.0.0.1:1")
		assert.Equal(t, 1, d.wait())
		assert.Contains(t, d.String(), "the Redis server of --redis-url: ")
		assert.NotContains(t, d.String(), "hunter2")
		d.assertNothingLeft()
	})
	t.Run("stopped by SIGINT", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--duration", "1h")
		d.await("playing:")
		d.signal(syscall.SIGINT)
		require.Zero(t, d.wait(), "%s", d)
		d.assertBalanced()
		d.assertNothingLeft()
	})
	t.Run("stopped by SIGINT in an outage", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--duration", "15s", "--outage")
		d.await("JetStream is down:")
		d.signal(syscall.SIGINT)
		require.Zero(t, d.wait(), "%s", d)
		d.assertBalanced()
		assert.Positive(t, d.number(`The backlog grew from [\d,]+ to ([\d,]+) events and was drained`))
		d.assertNothingLeft()
	})
	t.Run("kept, then stopped by SIGTERM", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--duration", "1s", "--keep")
		d.await("The log is ")
		d.assertBalanced()
		d.signal(syscall.SIGTERM)
		require.Zero(t, d.wait(), "%s", d)
		d.assertNothingLeft()
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--duration", "1h")
		d.await("playing:")
		d.signal(syscall.SIGKILL)
		require.Equal(t, -1, d.wait())
		d.assertNothingLeft()
	})
	t.Run("called wrongly", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t, program, "--rate", "0")
		assert.Equal(t, 2, d.wait())
		assert.Contains(t, d.String(), "--rate is 0, allowed: 1 or more")
	})
}

// The program for production carries no JetStream server, and says how to get the demo.
func TestDemoIsNotInTheProductionBinary(t *testing.T) {
	t.Parallel()
	got := newCLI(t, "").run(t, "demo", "--outage")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "go run -tags demo ./cmd/outbox-relay demo")
}

// buildDemo builds the program with the demo in it.
func buildDemo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outbox-relay")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "demo", "-o", path, "./cmd/outbox-relay")
	build.Dir = ".."
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return path
}

// demoProcess is a demo that runs.
type demoProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	temp   string // where it makes its directories
	output demoOutput
	ended  chan struct{}
}

// demoOutput collects what a process prints while it runs.
type demoOutput struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *demoOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *demoOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func startDemo(t *testing.T, program string, args ...string) *demoProcess {
	t.Helper()
	// Not t.TempDir, which the unprivileged user of a demo started as root may not enter.
	temp, err := os.MkdirTemp("", "demo-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(temp, 0o711))
	d := &demoProcess{t: t, temp: temp, ended: make(chan struct{}), cmd: exec.Command(program, append([]string{"demo"}, args...)...)}
	d.cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	d.cmd.WaitDelay = 10 * time.Second // children of a killed demo may hold its output a moment longer
	require.NoError(t, d.cmd.Start())
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // the tests look at the exit code
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		assert.NoError(t, os.RemoveAll(temp))
	})
	return d
}

// String is what the demo has printed so far.
func (d *demoProcess) String() string { return d.output.String() }

func (d *demoProcess) signal(s syscall.Signal) { require.NoError(d.t, d.cmd.Process.Signal(s)) }

// await waits until the demo has printed text.
func (d *demoProcess) await(text string) {
	d.t.Helper()
	require.Eventually(d.t, func() bool { return strings.Contains(d.String(), text) }, demoTimeout, 10*time.Millisecond,
		"the demo never printed %q", text)
}

// wait waits for the demo's end and returns its exit code, -1 when a signal killed it.
func (d *demoProcess) wait() int {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), demoTimeout)
	defer cancel()
	select {
	case <-d.ended:
	case <-ctx.Done():
		require.Fail(d.t, "the demo does not end", "%s", d)
	}
	return d.cmd.ProcessState.ExitCode()
}

// number returns the last number that the pattern finds in what the demo printed.
func (d *demoProcess) number(pattern string) int {
	d.t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(d.String(), -1)
	require.NotEmpty(d.t, found, "no %s in:\n%s", pattern, d)
	n, err := strconv.Atoi(strings.ReplaceAll(found[len(found)-1][1], ",", ""))
	require.NoError(d.t, err)
	return n
}

// assertBalanced checks the verdict, and that the account it speaks of is that of a game.
func (d *demoProcess) assertBalanced() {
	d.t.Helper()
	committed := d.number(`The account balances: all (\d+) committed events were received exactly once`)
	assert.Positive(d.t, committed)
	assert.Equal(d.t, committed, d.number(`finished: committed (\d+),`))
	assert.Equal(d.t, committed, d.number(`finished: .*, received (\d+),`))
	assert.Positive(d.t, d.number(`finished: .*, rolled back (\d+) \(seen 0\)`))
}

// assertNothingLeft checks that neither files nor processes outlive the demo for long.
func (d *demoProcess) assertNothingLeft() {
	d.t.Helper()
	assert.Eventually(d.t, func() bool {
		left, err := os.ReadDir(d.temp)
		return err == nil && len(left) == 0 && !d.hasProcesses()
	}, time.Minute, 50*time.Millisecond, "the demo left something behind")
}

// hasProcesses tells whether a process is there that names the demo's directory, as its Postgres does.
func (d *demoProcess) hasProcesses() bool {
	output, err := exec.Command("ps", "-A", "-o", "args=").Output()
	return err != nil || bytes.Contains(output, []byte(d.temp))
}

func (d *demoProcess) assertDatabaseDropped(db *harness.Database) {
	d.t.Helper()
	name := regexp.MustCompile(`outbox_demo_[a-z0-9]+`).FindString(d.String())
	require.NotEmpty(d.t, name)
	var databases int
	require.NoError(d.t, db.Pool.QueryRow(d.t.Context(), `select count(*) from pg_database where datname = $1`, name).Scan(&databases))
	assert.Zero(d.t, databases)
}

// assertPeak checks that the backlog is said to have grown to no less than the lines of the outage show.
func (d *demoProcess) assertPeak() {
	d.t.Helper()
	shown := 0
	for _, line := range regexp.MustCompile(`(?:JetStream is down|Redis stands in|catching up): .* backlog (\d+),`).FindAllStringSubmatch(d.String(), -1) {
		backlog, err := strconv.Atoi(line[1])
		require.NoError(d.t, err)
		shown = max(shown, backlog)
	}
	assert.NotZero(d.t, shown)
	assert.GreaterOrEqual(d.t, d.number(`The backlog grew from [\d,]+ to ([\d,]+) events`), shown)
}

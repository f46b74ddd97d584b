package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// cliTimeout bounds one command, and one stop of a relay.
const cliTimeout = 30 * time.Second

// cli is the program with an environment that names the servers.
type cli struct {
	program string
	env     []string
}

// cliResult is what a command did.
type cliResult struct {
	code     int
	out, err string
}

// newCLI returns the program for a database, with the variables added.
func newCLI(t testing.TB, databaseURL string, env ...string) cli {
	t.Helper()
	env = append([]string{"OUTBOX_POSTGRES_URL=" + databaseURL, "OUTBOX_ADMIN_LISTEN=127.0.0.1:0", "HOME=/nonexistent"}, env...)
	return cli{program: harness.BuildRelay(t), env: env}
}

// run executes a command to its end.
func (c cli) run(t testing.TB, args ...string) cliResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cliTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, args...)
	var out, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, t.TempDir(), &out, &stderr
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "%v did not end: %s", args, stderr.String())
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cliResult{code: cmd.ProcessState.ExitCode(), out: out.String(), err: stderr.String()}
}

// mustRun executes a command that succeeds, and returns its output.
func (c cli) mustRun(t testing.TB, args ...string) string {
	t.Helper()
	got := c.run(t, args...)
	require.Zero(t, got.code, "%v: %s", args, got.err)
	return got.out
}

// relayProcess is a `outbox-relay run` in the background.
type relayProcess struct {
	cmd   *exec.Cmd
	admin string // the URL of its admin server
	mu    sync.Mutex
	log   bytes.Buffer
	ended chan struct{}
}

// start starts a relay and waits until its admin server answers.
func (c cli) start(t testing.TB, args ...string) *relayProcess {
	t.Helper()
	p := &relayProcess{cmd: exec.Command(c.program, append([]string{"run"}, args...)...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = c.env, t.TempDir()
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.collect(stderr)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error means that it has ended already
		<-p.ended
	})
	p.admin = "http://" + p.await(t, "admin server listens")["address"].(string)
	return p
}

// collect keeps the log until the process ends.
func (p *relayProcess) collect(stderr io.Reader) {
	defer close(p.ended)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.mu.Lock()
		p.log.Write(append(lines.Bytes(), '\n'))
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // the exit code is in ProcessState
}

func (p *relayProcess) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// await waits for the line of the log with this message and returns its fields.
func (p *relayProcess) await(t testing.TB, message string) map[string]any {
	t.Helper()
	var found map[string]any
	require.Eventually(t, func() bool {
		found = p.lastLine(message)
		return found != nil
	}, cliTimeout, 10*time.Millisecond, "no line %q", message)
	return found
}

// lastLine returns the fields of the last line of the log with this message; nil if there is none.
func (p *relayProcess) lastLine(message string) (found map[string]any) {
	for line := range strings.SplitSeq(p.logged(), "\n") {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			found = fields
		}
	}
	return found
}

// stop sends SIGTERM and returns the exit code and how long the stop took.
func (p *relayProcess) stop(t testing.TB) (code int, took time.Duration) {
	t.Helper()
	began := time.Now()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(cliTimeout):
		require.Fail(t, "the relay did not stop", p.logged())
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(began)
}

// get asks the admin server.
func (p *relayProcess) get(t testing.TB, path string) (code int, body string) {
	t.Helper()
	response, err := http.Get(p.admin + path)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// migrated returns the URL of a database that the program itself has migrated.
func migrated(t testing.TB) *harness.Database {
	t.Helper()
	db := harness.EmptyPostgres(t)
	newCLI(t, db.URL).mustRun(t, "migrate", "up")
	return db
}

// ownStream returns the variables for a stream of the test's own, and its subject without the last token.
func ownStream(t testing.TB, server string) (env []string, subject string) {
	t.Helper()
	subject = "cli_" + strings.ReplaceAll(t.Name(), "/", "_")
	return []string{"OUTBOX_MQ_NATS_URL=" + server, "OUTBOX_MQ_STREAM_NAME=" + subject, "OUTBOX_MQ_SUBJECTS=" + subject + ".>"}, subject
}

// createStream creates a stream as somebody else would.
func createStream(t testing.TB, server, name string, subjects ...string) {
	t.Helper()
	nc, err := nats.Connect(server)
	require.NoError(t, err)
	defer nc.Close()
	js, err := natsjs.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), natsjs.StreamConfig{Name: name, Subjects: subjects})
	require.NoError(t, err)
}

// as returns the URL of a database for another user.
func as(t testing.TB, databaseURL, user, password string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	u.User = url.UserPassword(user, password)
	return u.String()
}

// requireStartFails checks that a relay does not start, why it says so, and that it names the next step.
func requireStartFails(t testing.TB, got cliResult, code int, texts ...string) {
	t.Helper()
	require.Equal(t, code, got.code, got.err)
	for _, text := range texts {
		require.Contains(t, got.err, text)
	}
	require.Contains(t, got.err, "\n  next:  ")
	require.NotContains(t, got.err, "panic")
}

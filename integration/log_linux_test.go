package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gameoutbox/relay/integration/harness"
	"github.com/gameoutbox/relay/relay"
)

// logPipe is the standard error of a relay: a small pipe that the test reads as long as it likes.
type logPipe struct {
	reader, writer *os.File
	lines          *bufio.Scanner
}

func newLogPipe(t testing.TB) *logPipe {
	t.Helper()
	var ends [2]int
	require.NoError(t, unix.Pipe2(ends[:], unix.O_CLOEXEC)) // unlike those of os.Pipe these block, like a collector's
	p := &logPipe{reader: os.NewFile(uintptr(ends[0]), "log"), writer: os.NewFile(uintptr(ends[1]), "log")}
	t.Cleanup(func() { _ = p.reader.Close(); _ = p.writer.Close() })
	_, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, os.Getpagesize())
	require.NoError(t, err)
	p.lines = bufio.NewScanner(p.reader)
	return p
}

// await reads up to the line with a message, and returns its fields.
func (p *logPipe) await(t testing.TB, message string) (fields map[string]any) {
	t.Helper()
	for p.lines.Scan() {
		fields = nil
		if json.Unmarshal(p.lines.Bytes(), &fields) == nil && fields["message"] == message {
			return fields
		}
	}
	require.Fail(t, "the log has ended", "without a line %q", message)
	return nil
}

// fill makes the pipe full. Who writes a line to it then waits until somebody reads.
func (p *logPipe) fill(t testing.TB) {
	t.Helper()
	path := fmt.Sprintf("/proc/self/fd/%d", p.writer.Fd())
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) // alone does not wait
	require.NoError(t, err)
	defer unix.Close(fd)
	for line := []byte(strings.Repeat("-", 63) + "\n"); err == nil; {
		_, err = unix.Write(fd, line)
	}
	require.ErrorIs(t, err, unix.EAGAIN)
}

// startLoggingTo starts a relay that logs to a pipe, and waits until it leads.
func (c cli) startLoggingTo(t testing.TB, p *logPipe) *relayProcess {
	t.Helper()
	r := &relayProcess{cmd: exec.Command(c.program, "run"), ended: make(chan struct{})}
	r.cmd.Env, r.cmd.Dir, r.cmd.Stderr = c.env, t.TempDir(), p.writer
	require.NoError(t, r.cmd.Start())
	r.endWith(t)
	r.admin = "http://" + p.await(t, "admin server listens")["address"].(string)
	p.await(t, "relay is leading")
	return r
}

// endWith waits for the end of the process, and ends it with the test at the latest.
func (p *relayProcess) endWith(t testing.TB) {
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error means that it has ended already
		<-p.ended
	})
}

// requireFree checks that the lease was given back.
func requireFree(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	lease, err := relay.ReadLease(t.Context(), pool)
	require.NoError(t, err)
	require.Empty(t, lease.Owner)
}

// insertRefused commits an event that the stream of a relay does not capture, which the relay logs.
func insertRefused(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), "insert into outbox.events (subject, payload) values ('elsewhere.' || gen_random_uuid(), '{}')")
	require.NoError(t, err)
}

func insertStored(t testing.TB, pool *pgxpool.Pool, subject string, events int) {
	t.Helper()
	_, err := pool.Exec(t.Context(), "insert into outbox.events (subject, payload) select $1 || '.x', '{}' from generate_series(1, $2)", subject, events)
	require.NoError(t, err)
}

// TestARelayWhoseLogIsNotRead is faults/12: the log is a pipe that stands still.
func TestARelayWhoseLogIsNotRead(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	s := newStream(t, server, subject)
	c := newCLI(t, db.URL, env...)
	log := newLogPipe(t)
	first := c.startLoggingTo(t, log)
	log.fill(t)

	insertRefused(t, db.Pool)
	for i := range 3 {
		insertStored(t, db.Pool, subject, 10)
		require.Eventually(t, func() bool { return s.count() == 10*(i+1) }, cliTimeout, 10*time.Millisecond, "publishing has stopped")
	}
	code, body := first.get(t, "/readyz")
	require.Equal(t, http.StatusOK, code, body)
	_, body = first.get(t, "/metrics")
	require.Contains(t, body, `outbox_relay_log_dropped_total{broker="",source=""}`)
	_, body = first.get(t, "/api/v1/status")
	require.Contains(t, body, `"published":30`)

	second := c.start(t)
	second.await(t, "relay is standby")
	code, took := first.stop(t)
	require.Zero(t, code)
	require.Less(t, took, 10*time.Second, "the default of relay.shutdown_timeout")
	second.await(t, "relay is leading")
	insertStored(t, db.Pool, subject, 10)
	require.Eventually(t, func() bool { return s.count() == 40 }, cliTimeout, 10*time.Millisecond)
}

// TestARelayWhoseLogIsReadLate checks that what was logged meanwhile is not lost, and comes in order.
func TestARelayWhoseLogIsReadLate(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, _ := ownStream(t, server)
	log := newLogPipe(t)
	p := newCLI(t, db.URL, env...).startLoggingTo(t, log)
	log.fill(t)
	insertRefused(t, db.Pool)
	require.Eventually(t, func() bool {
		_, body := p.get(t, "/api/v1/status")
		return strings.Contains(body, `"delayed":1`)
	}, cliTimeout, 10*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	log.await(t, "relay is stopping")
	log.await(t, "stopped")
	<-p.ended
	require.Zero(t, p.cmd.ProcessState.ExitCode())
}

func TestARelayWhoseLogReaderGoesAwayStopsCleanly(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	s := newStream(t, server, subject)
	log := newLogPipe(t)
	p := newCLI(t, db.URL, env...).startLoggingTo(t, log)
	insertStored(t, db.Pool, subject, 10)
	require.NoError(t, log.reader.Close())
	insertRefused(t, db.Pool)
	select {
	case <-p.ended:
	case <-time.After(cliTimeout):
		require.Fail(t, "the relay goes on")
	}
	require.Equal(t, 1, p.cmd.ProcessState.ExitCode(), p.cmd.ProcessState.String())
	requireFree(t, db.Pool)
	require.Equal(t, 10, s.count())
	require.Equal(t, 1, waiting(t, db.Pool), "what was acknowledged is settled")
}

func TestARelayWithoutStandardError(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	s := newStream(t, server, subject)
	address := harness.FreeAddress(t)
	c := newCLI(t, db.URL, append(env, "OUTBOX_ADMIN_LISTEN="+address)...)
	p := &relayProcess{cmd: exec.Command("sh", "-c", `exec "$0" run 2>&- >&-`, c.program), ended: make(chan struct{}), admin: "http://" + address}
	p.cmd.Env, p.cmd.Dir = c.env, t.TempDir()
	require.NoError(t, p.cmd.Start())
	p.endWith(t)
	insertRefused(t, db.Pool)
	insertStored(t, db.Pool, subject, 10)
	require.Eventually(t, func() bool { return s.count() == 10 }, cliTimeout, 10*time.Millisecond)
	code, _ := p.stop(t)
	require.Zero(t, code)
	requireFree(t, db.Pool)
}

func TestAHangupEndsNoRelay(t *testing.T) {
	t.Parallel()
	db, server := migrated(t), harness.NATS(t)
	env, subject := ownStream(t, server)
	s := newStream(t, server, subject)
	p := newCLI(t, db.URL, env...).start(t)
	p.await(t, "relay is leading")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	insertStored(t, db.Pool, subject, 10)
	require.Eventually(t, func() bool { return s.count() == 10 }, cliTimeout, 10*time.Millisecond)
	code, _ := p.stop(t)
	require.Zero(t, code)
}

// TestAFailedStartEndsWhileItsLogIsNotRead checks that the last words of a process wait for no reader either.
func TestAFailedStartEndsWhileItsLogIsNotRead(t *testing.T) {
	t.Parallel()
	c := newCLI(t, harness.EmptyPostgres(t).URL) // without a schema
	log := newLogPipe(t)
	log.fill(t)
	ctx, cancel := context.WithTimeout(t.Context(), cliTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, "run")
	cmd.Env, cmd.Dir, cmd.Stderr = c.env, t.TempDir(), log.writer
	require.Error(t, cmd.Run())
	require.NoError(t, ctx.Err(), "it did not end")
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
}

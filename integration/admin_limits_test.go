package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// limited returns a program that runs another one with so many file descriptors.
func limited(t testing.TB, program string, descriptors int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", descriptors, program)
	require.NoError(t, os.WriteFile(path, []byte(script), 0o700))
	return path
}

// TestIdleAdminConnectionsStarveNothing lets a relay with few descriptors connect anew while
// somebody holds more connections to its admin server than it has descriptors.
func TestIdleAdminConnectionsStarveNothing(t *testing.T) {
	t.Parallel()
	db := migrated(t)
	env, subject := ownStream(t, harness.NATS(t))
	c := newCLI(t, db.URL, env...)
	few := c
	few.program = limited(t, c.program, 128)
	relay := few.start(t)
	isReady := func() bool {
		code, _ := relay.get(t, "/readyz")
		return code == http.StatusOK
	}
	require.Eventually(t, isReady, cliTimeout, 20*time.Millisecond)
	for range 400 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(relay.admin, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
	}
	_, err := db.Pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and application_name = 'outbox-relay'`)
	require.NoError(t, err)
	c.mustRun(t, "publish", subject+".x")
	require.Eventually(t, func() bool {
		_, body := relay.get(t, "/api/v1/status")
		return strings.Contains(body, `"published":1,`) && isReady()
	}, cliTimeout, 20*time.Millisecond)
	require.NotContains(t, relay.logged(), "too many open files")
	code, _ := relay.stop(t)
	require.Zero(t, code)
}

package integration_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// highWater returns the most memory that a process has had so far, in KiB.
func highWater(t testing.TB, pid int) (peak int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &peak); err == nil {
			break
		}
	}
	return peak
}

// TestAListOfDeadLettersIsNotKeptInMemory lists many, as JSON and as a table.
func TestAListOfDeadLettersIsNotKeptInMemory(t *testing.T) {
	t.Parallel()
	const letters = 200_000
	db := harness.Postgres(t)
	_, err := db.Pool.Exec(t.Context(), `
		insert into outbox.dead_letters
		    (id, event_id, subject, payload, created_at, reason, error, attempts, first_failed_at, last_failed_at)
		select n, gen_random_uuid(), 'game.x', '', now(), 'refused', repeat('the broker said no; ', 20), 1, now(), now()
		from generate_series(1, $1::int) n`, letters)
	require.NoError(t, err)
	c := newCLI(t, db.URL)
	for _, form := range []string{"--json", "--sort=newest"} {
		cmd := exec.CommandContext(t.Context(), c.program, "dead", "list", "--limit=0", form)
		cmd.Env, cmd.Dir = c.env, t.TempDir()
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		peak, seen := 0, 0
		for lines := bufio.NewScanner(out); lines.Scan(); seen++ {
			if seen%10_000 == 0 {
				peak = max(peak, highWater(t, cmd.Process.Pid))
			}
			if form == "--json" && seen%10_000 == 0 {
				require.True(t, json.Valid(lines.Bytes()))
			}
		}
		require.NoError(t, cmd.Wait(), "%s", &stderr)
		require.GreaterOrEqual(t, seen, letters)
		require.Less(t, peak, 64<<10, "KiB, %s", form)
	}
}

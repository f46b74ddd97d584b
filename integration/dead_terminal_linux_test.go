package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gameoutbox/relay/integration/harness"
)

// openTerminal returns both ends of a terminal: the one at which a person types, and the one that a program has.
func openTerminal(t testing.TB) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, person.Close()) })
	require.NoError(t, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, program.Close()) })
	return person, program
}

func TestDeadDiscardAsksAtATerminal(t *testing.T) {
	t.Parallel()
	db := harness.Postgres(t)
	c := newCLI(t, db.URL)
	buryByHand(t, db.Pool, buried{subject: "game.a"}, buried{subject: "game.b"})
	discard := func(answer string, args ...string) cliResult {
		person, program := openTerminal(t)
		_, err := person.WriteString(answer)
		require.NoError(t, err)
		cmd := exec.Command(c.program, append([]string{"dead", "discard", "--note=x"}, args...)...)
		var out, stderr bytes.Buffer
		cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.env, t.TempDir(), program, &out, &stderr
		_ = cmd.Run() // the exit code is in ProcessState
		return cliResult{code: cmd.ProcessState.ExitCode(), out: out.String(), err: stderr.String()}
	}

	got := discard("n\n", "--all")
	require.Equal(t, 1, got.code)
	require.Regexp(t, `1 +refused +game\.a`, got.out, "it says what it asks about")
	require.Contains(t, got.out, "Discard 2 dead letters for good? [y/N] ")
	require.Contains(t, got.err, "nothing was discarded: it was not confirmed")
	require.Equal(t, 2, rowCount(t, db.Pool, "outbox.dead_letters"))

	require.Zero(t, discard("y\n", "--subject=game.a").code)
	require.Equal(t, 1, rowCount(t, db.Pool, "outbox.dead_letters"))
	got = discard("", "--all", "--yes")
	require.Zero(t, got.code)
	require.NotContains(t, got.out, "[y/N]")
	require.Zero(t, rowCount(t, db.Pool, "outbox.dead_letters"))
}

package jetstream

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommandsAreOneLineOfAShell(t *testing.T) {
	t.Parallel()
	require.Equal(t, "nats stream edit game-events --dupe-window=2m --force", DefaultConfig().cli().edit("game-events", "--dupe-window=2m"))
	require.Equal(t, "--subjects='game.>,shop.*'", subjectsFlag([]string{"game.>", "shop.*"}))
	require.Equal(t, "--subjects=game.a", subjectsFlag([]string{"game.a"}))
	for _, word := range []string{"game.>", "$SYS.x", "a'b", "größe.`x`", `a"b\c`, "plain"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shell(word)).Output()
		require.NoError(t, err)
		require.Equal(t, word, string(out))
	}
}

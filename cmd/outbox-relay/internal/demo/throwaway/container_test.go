package throwaway

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestContainer(t *testing.T) {
	t.Parallel()
	harness.EmptyPostgres(t) // leaves an image of Postgres on this machine, made here if it must be
	o, g := options(t)
	s, err := startContainer(t.Context(), o)
	require.NoError(t, err)
	assert.Contains(t, s.Origin, "in Docker, image ")
	version, err := serverVersion(t.Context(), s.URL)
	require.NoError(t, err)
	assert.Equal(t, version, s.Version)

	require.Len(t, g.containers, 1)
	assert.Equal(t, g.containers[0], containersNamed(t, g.containers[0]))
	require.NoError(t, s.Stop(t.Context()))
	assert.Empty(t, containersNamed(t, g.containers[0]))
	require.NoError(t, s.Stop(t.Context()), "a container that is gone is no trouble")
}

func containersNamed(t *testing.T, name string) string {
	t.Helper()
	names, err := docker(t.Context(), "ps", "--all", "--filter", "name="+name, "--format", "{{.Names}}")
	require.NoError(t, err)
	return names
}

// pretendDocker puts a docker into PATH that notes what it is asked, and whose containers are all at hostPort.
func pretendDocker(t *testing.T, hostPort string) (notes string) {
	t.Helper()
	dir := t.TempDir()
	script(t, dir, "docker", fmt.Sprintf(`
echo "$@" >> %s/asked
case "$1" in
port) echo "%s"; echo "[::1]:1" ;;
logs) echo "the last words" ;;
esac`, dir, hostPort))
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return filepath.Join(dir, "asked")
}

func TestAContainerThatIsNotReadyIsRemoved(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close()
	notes := pretendDocker(t, mute.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		conn, err := mute.Accept()
		if assert.NoError(t, err) {
			assert.NoError(t, conn.Close())
		}
	}()

	o, _ := options(t)
	_, err = startContainer(ctx, o)
	require.ErrorContains(t, err, "the server does not answer")
	assert.ErrorContains(t, err, "the last words")
	asked, err := os.ReadFile(notes)
	require.NoError(t, err)
	assert.Contains(t, string(asked), "\nrm --force --volumes outbox_demo_")
}

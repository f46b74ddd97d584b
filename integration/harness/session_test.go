package harness_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
)

func TestKilledRunIsCleanedUpByTheNext(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	killed := rerun(t, "^TestRedisKeepsDataAndAddress$", "XDG_CACHE_HOME="+cache)
	require.NoError(t, killed.Start())
	eventuallyTrue(t, func() bool { return len(containersOf(t, cache)) > 0 })
	require.NoError(t, killed.Process.Kill())
	require.Error(t, killed.Wait())
	left := containersOf(t, cache)

	output, err := rerun(t, "^TestRedisIsShared$").CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Empty(t, containersOf(t, cache), "of the %d containers that the killed run left", len(left))
}

func TestWithoutDockerTestsFailAndSayWhatToInstall(t *testing.T) {
	t.Parallel()
	output, err := rerun(t, "^TestRedisIsShared$", "DOCKER_HOST=unix:///nonexistent/docker.sock").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "--- FAIL: TestRedisIsShared")
	require.Contains(t, string(output), "install Docker Engine (Debian: apt-get install docker.io) and start it")
}

// rerun returns this test program with other tests to run.
func rerun(t *testing.T, tests string, environment ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), program, "-test.run="+tests)
	command.Env = append(os.Environ(), environment...)
	return command
}

// containersOf returns the containers whose session file lies in the folder.
func containersOf(t *testing.T, folder string) (ids []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	require.NoError(t, err)
	defer docker.Close()
	list, err := docker.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", "outbox-relay.harness.session"),
	})
	require.NoError(t, err)
	for _, container := range list.Items {
		if strings.HasPrefix(container.Labels["outbox-relay.harness.session"], folder) {
			ids = append(ids, container.ID)
		}
	}
	return ids
}

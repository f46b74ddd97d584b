package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// sessionLabel marks containers and networks of the harness. Its value is the lock file of the process that made them.
const sessionLabel = "outbox-relay.harness.session"

// session returns the name of this process's lock file. The first call creates and locks it.
var session = sync.OnceValues(func() (string, error) {
	file, err := createLocked()
	if err != nil {
		return "", fmt.Errorf("open the harness session: %w", err)
	}
	shared.add(func() error {
		return errors.Join(os.Remove(file.Name()), file.Close())
	})
	return file.Name(), nil
})

// sessionLabels returns the labels for one container or network, in a map that the caller may change.
func sessionLabels() (map[string]string, error) {
	name, err := session()
	return map[string]string{sessionLabel: name}, err
}

func createLocked() (*os.File, error) {
	folder, err := sessionFolder()
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(folder, "session-*.lock")
	if err != nil {
		return nil, err
	}
	return file, syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// sessionFolder is the user's cache where there is one, for unlike the temporary folder it survives a reboot, as stopped
// containers do.
func sessionFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	folder := filepath.Join(cache, "outbox-relay", "harness")
	return folder, os.MkdirAll(folder, 0o700)
}

// removeStale removes the containers and networks of dead processes.
func removeStale(ctx context.Context, cli *testcontainers.DockerClient) error {
	labelled := client.Filters{}.Add("label", sessionLabel)
	containers, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: labelled})
	if err != nil {
		return err
	}
	networks, err := cli.NetworkList(ctx, client.NetworkListOptions{Filters: labelled})
	if err != nil {
		return err
	}
	dead := deadSessions{}
	defer dead.release()
	for _, c := range containers.Items {
		if dead.owns(c.Labels[sessionLabel]) {
			err = errors.Join(err, removeContainer(ctx, cli, c.ID))
		}
	}
	for _, n := range networks.Items {
		if dead.owns(n.Labels[sessionLabel]) {
			err = errors.Join(err, removeNetwork(ctx, cli, n.ID))
		}
	}
	return err
}

// deadSessions holds, by name, the lock files of dead processes, which it has locked; nil for those of living ones.
type deadSessions map[string]*os.File

// owns tells whether the process that locked the file is dead. A missing file says nothing: the process may live
// on another machine that shares this Docker daemon, or have removed the file as the last thing it did.
func (d deadSessions) owns(name string) bool {
	if file, known := d[name]; known {
		return file != nil
	}
	d[name] = nil
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = file.Close()
		return false
	}
	d[name] = file
	return true
}

func (d deadSessions) release() {
	for name, file := range d {
		if file != nil {
			_ = os.Remove(name)
			_ = file.Close()
		}
	}
}

// removeContainer kills and removes a container with its volumes. One that is already gone is no error.
func removeContainer(ctx context.Context, cli *testcontainers.DockerClient, id string) error {
	_, err := cli.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	return ignoreGone(err)
}

func removeNetwork(ctx context.Context, cli *testcontainers.DockerClient, id string) error {
	_, err := cli.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	return ignoreGone(err)
}

func ignoreGone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

package harness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
)

// recipe says how to start a server and how to know that it serves.
type recipe struct {
	name    string // for errors, and the name of the image: "postgres", "nats", "redis"
	version string // of the image; empty for the default
	port    string // that the server listens on in the container, such as "5432/tcp"
	data    string // folder that is kept on a volume, for the container's own file system is slow; empty for none
	disk    string // size of that volume, such as "24m"; empty for no limit
	beside  string // container whose volumes it has too; empty for none
	// url makes the server's URL from its port on 127.0.0.1.
	url func(port int) string
	// request makes the container's request from the same port.
	request func(port int) testcontainers.ContainerRequest
	// ping returns nil once the server at the URL answers requests.
	ping func(ctx context.Context, url string) error
}

// start starts a server and waits until it answers.
func (r recipe) start(ctx context.Context) (*Server, error) {
	cli, err := docker()
	if err != nil {
		return nil, err
	}
	img, err := image(ctx, r.name, r.version)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &Server{recipe: r, docker: cli}
	if err := s.create(ctx, img); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", r.name, err), s.remove())
	}
	return s, nil
}

// create tries some ports, for between the choice of a port and its use another process may take it.
func (s *Server) create(ctx context.Context, img string) (err error) {
	const tries = 5
	for range tries {
		if err = s.createOn(ctx, img); err == nil {
			return s.await(ctx)
		}
		if !portTaken(err) {
			return err
		}
	}
	return err
}

func (s *Server) createOn(ctx context.Context, img string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	return s.createAt(ctx, img, port, true)
}

func (s *Server) createAt(ctx context.Context, img string, port int, started bool) (err error) {
	request := s.recipe.request(port)
	request.Image = img
	// Without this, every port of the image is published too, on ports that outgoing connections of this machine may hold.
	request.ExposedPorts = []string{s.recipe.port}
	request.HostConfigModifier = s.recipe.hostConfig(port)
	if request.Labels, err = sessionLabels(); err != nil {
		return err
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{ContainerRequest: request, Started: started})
	if err != nil {
		return errors.Join(err, testcontainers.TerminateContainer(c))
	}
	s.id, s.URL = c.GetContainerID(), s.recipe.url(port)
	return nil
}

// hostConfig publishes the server on a port that stays the same when it is stopped and started again.
func (r recipe) hostConfig(port int) func(*container.HostConfig) {
	return func(host *container.HostConfig) {
		host.PortBindings = network.PortMap{
			network.MustParsePort(r.port): {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(port)}},
		}
		if r.data != "" {
			host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Target: r.data, VolumeOptions: r.volume()})
		}
		if r.beside != "" {
			host.VolumesFrom = []string{r.beside}
		}
	}
}

// volume returns the options of the volume; nil for the usual ones.
func (r recipe) volume() *mount.VolumeOptions {
	if r.disk == "" {
		return nil
	}
	return &mount.VolumeOptions{DriverConfig: &mount.Driver{
		Name: "local", Options: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=" + r.disk},
	}}
}

// await waits until the server answers, and tells of its log when it does not.
func (s *Server) await(ctx context.Context) error {
	err := poll(ctx, func(ctx context.Context) error { return s.recipe.ping(ctx, s.URL) })
	if err != nil {
		return fmt.Errorf("no answer at %s: %w\nits log ends with:\n%s", s.URL, err, s.logTail())
	}
	return nil
}

// poll asks until the answer is nil; when ctx ends, it returns the last answer.
func poll(ctx context.Context, ask func(context.Context) error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

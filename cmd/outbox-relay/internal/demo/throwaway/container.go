package throwaway

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// container is a Postgres in Docker, spoken to through the docker program.
type container struct{ name, image, password string }

// startContainer starts a container.
func startContainer(ctx context.Context, o Options) (*Server, error) {
	if _, err := docker(ctx, "version"); err != nil {
		return nil, err
	}
	image, err := chooseImage(ctx, o)
	if err != nil {
		return nil, err
	}
	c := container{name: randomName(), image: image, password: rand.Text()}
	if err := o.Guard.Container(c.name); err != nil {
		return nil, err
	}
	o.Say("Starting a throw-away Postgres in Docker, image %s", image)
	server, err := c.start(ctx)
	if err != nil {
		err = fmt.Errorf("Docker image %s: %w", image, err)
		return nil, errors.Join(err, c.remove(context.WithoutCancel(ctx)))
	}
	return server, nil
}

// images are the ones that are taken if they are on this machine, the best first. The last is pulled if none is.
var images = []string{"outbox-relay/postgres:17", "postgres:17"}

// chooseImage returns an image that is on this machine: the one that the environment names, else one of images. It
// pulls what is not there.
func chooseImage(ctx context.Context, o Options) (string, error) {
	wanted := images
	if own := o.Getenv("OUTBOX_TEST_POSTGRES_IMAGE"); own != "" {
		wanted = []string{own}
	}
	for _, image := range wanted {
		if _, err := docker(ctx, "image", "inspect", image); err == nil {
			return image, nil
		}
	}
	last := wanted[len(wanted)-1]
	o.Say("Pulling the Docker image %s", last)
	_, err := docker(ctx, "pull", "--quiet", last)
	return last, err
}

func (c container) start(ctx context.Context) (*Server, error) {
	// To interrupt docker run would leave it open whether there is a container to remove.
	uncut, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(uncut, "docker", "run", "--detach", "--rm", "--name", c.name, "--publish", "127.0.0.1::5432",
		"--env", "POSTGRES_USER", "--env", "POSTGRES_PASSWORD", "--env", "POSTGRES_DB", c.image)
	// The values are handed over in the environment: an argument could be read by everyone on this machine.
	cmd.Env = append(os.Environ(), "POSTGRES_USER="+superuser, "POSTGRES_PASSWORD="+c.password, "POSTGRES_DB=postgres")
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	published, err := docker(ctx, "port", c.name, "5432/tcp")
	if err != nil {
		return nil, err
	}
	hostPort, _, _ := strings.Cut(published, "\n")
	url := address(hostPort, c.password)
	version, err := waitReady(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.logs(context.WithoutCancel(ctx)))
	}
	return &Server{URL: url, Shown: url, Version: version, Origin: "in Docker, image " + c.image, stop: c.remove}, nil
}

// logs returns the last lines of what the server wrote, and nothing when they cannot be had.
func (c container) logs(ctx context.Context) []byte {
	text, _ := exec.CommandContext(ctx, "docker", "logs", "--tail", "15", c.name).CombinedOutput()
	return text
}

// remove removes the container and its data; one that does not exist is fine.
func (c container) remove(ctx context.Context) error {
	_, err := docker(ctx, "rm", "--force", "--volumes", c.name)
	if err != nil && strings.Contains(err.Error(), "No such container") {
		return nil
	}
	return err
}

// docker runs a docker command and returns what it printed.
func docker(ctx context.Context, args ...string) (string, error) {
	return output(exec.CommandContext(ctx, "docker", args...))
}

// output runs a docker command. Its error is what the command itself said.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("Docker is not installed")
	case err != nil:
		return "", fmt.Errorf("docker %s: %w: %s", cmd.Args[1], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

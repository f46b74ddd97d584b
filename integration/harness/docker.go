package harness

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// pingTimeout bounds one question whether a server answers, callTimeout one request to Docker, startTimeout the start of a
// server until it answers, and buildTimeout the build of the relay or of an image.
const (
	pingTimeout  = 5 * time.Second
	callTimeout  = 30 * time.Second
	startTimeout = 2 * time.Minute
	buildTimeout = 10 * time.Minute
)

// docker returns the client of this process. The first call also opens the session and removes what dead runs left.
var docker = sync.OnceValues(func() (*testcontainers.DockerClient, error) {
	configureTestcontainers()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	cli, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("these tests need a Docker daemon that answers; install Docker Engine "+
			"(Debian: apt-get install docker.io) and start it: %w", err)
	}
	shared.add(cli.Close)
	if err := removeStale(ctx, cli); err != nil {
		return nil, fmt.Errorf("remove what earlier runs left: %w", err)
	}
	return cli, nil
})

// configureTestcontainers must run before testcontainers reads its configuration, which it does once.
func configureTestcontainers() {
	if _, set := os.LookupEnv("TESTCONTAINERS_RYUK_DISABLED"); !set {
		_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	}
	log.SetDefault(silent{})
}

// silent drops the narration of testcontainers; errors are returned and need no second telling.
type silent struct{}

func (silent) Printf(string, ...any) {}

// connect returns a client whose daemon has answered. Testcontainers panics where it finds no socket at all.
func connect(ctx context.Context) (cli *testcontainers.DockerClient, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	cli, err = testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = cli.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, err
	}
	return cli, nil
}

package harness

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Server is a server that belongs to one test, which may break it in every way. Its address and its data stay the same
// through all of that. Each method fails the test if Docker cannot do it; none may be called by two goroutines at once.
type Server struct {
	// URL is where clients of this machine reach the server, such as "nats://127.0.0.1:21345".
	URL string

	recipe recipe
	docker *testcontainers.DockerClient
	id     string
	tb     testing.TB
	cut    map[string]*network.EndpointSettings // by network, while the server is disconnected
}

// own ties the server to a test, which removes it at the end.
func (s *Server) own(tb testing.TB) *Server {
	s.tb = tb
	tb.Cleanup(func() {
		if err := s.remove(); err != nil {
			tb.Errorf("remove %s: %v", s.recipe.name, err)
		}
	})
	return s
}

// Stop asks the server to stop and waits until it has; after ten seconds it is killed.
func (s *Server) Stop() {
	s.tb.Helper()
	s.do("stop", func(ctx context.Context) error {
		_, err := s.docker.ContainerStop(ctx, s.id, client.ContainerStopOptions{})
		return err
	})
}

// Start starts a server that was stopped or killed, and waits until it answers.
func (s *Server) Start() {
	s.tb.Helper()
	s.do("start", func(ctx context.Context) error {
		if _, err := s.docker.ContainerStart(ctx, s.id, client.ContainerStartOptions{}); err != nil {
			return err
		}
		return s.await(ctx)
	})
}

// Restart stops the server, starts it again and waits until it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	s.Start()
}

// Kill ends the server as kill -9 does. It returns when the server is dead.
func (s *Server) Kill() {
	s.tb.Helper()
	s.do("kill", func(ctx context.Context) error {
		dead := s.docker.ContainerWait(ctx, s.id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
		if _, err := s.docker.ContainerKill(ctx, s.id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
			return err
		}
		select {
		case err := <-dead.Error:
			return err
		case <-dead.Result:
			return nil
		}
	})
}

// Pause freezes the server: connections stay open and are accepted, and nothing is answered.
func (s *Server) Pause() {
	s.tb.Helper()
	s.do("pause", func(ctx context.Context) error {
		_, err := s.docker.ContainerPause(ctx, s.id, client.ContainerPauseOptions{})
		return err
	})
}

// Unpause lets a paused server go on, and waits until it answers.
func (s *Server) Unpause() {
	s.tb.Helper()
	s.do("unpause", func(ctx context.Context) error {
		if _, err := s.docker.ContainerUnpause(ctx, s.id, client.ContainerUnpauseOptions{}); err != nil {
			return err
		}
		return s.await(ctx)
	})
}

// Log returns what the server has written to its log so far.
func (s *Server) Log() string {
	s.tb.Helper()
	var text string
	s.do("read the log of", func(ctx context.Context) (err error) {
		text, err = s.log(ctx, "all")
		return err
	})
	return text
}

// do runs one operation within the time that a start may take, and fails the test if it fails.
func (s *Server) do(verb string, operation func(context.Context) error) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := operation(ctx); err != nil {
		s.tb.Fatalf("%s %s: %v", verb, s.recipe.name, err)
	}
}

// remove removes the container whatever its state. It does nothing for one that was never made.
func (s *Server) remove() error {
	if s.id == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return removeContainer(ctx, s.docker, s.id)
}

func (s *Server) logTail() string {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	text, err := s.log(ctx, "20")
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return text
}

// log returns the last lines of the log, "all" for all of them.
func (s *Server) log(ctx context.Context, lines string) (string, error) {
	stream, err := s.docker.ContainerLogs(ctx, s.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: lines})
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var text bytes.Buffer
	_, err = stdcopy.StdCopy(&text, &text, stream)
	return text.String(), err
}

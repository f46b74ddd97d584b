package harness

import (
	"bytes"
	"context"
	"fmt"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Exec runs a program inside the server's container, such as redis-cli, and returns what it wrote to its standard output. The
// test fails when the program fails.
func (s *Server) Exec(command ...string) string {
	s.tb.Helper()
	var output string
	s.do("run "+command[0]+" in", func(ctx context.Context) (err error) {
		output, err = s.exec(ctx, command)
		return err
	})
	return output
}

func (s *Server) exec(ctx context.Context, command []string) (string, error) {
	created, err := s.docker.ExecCreate(ctx, s.id, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", err
	}
	attached, err := s.docker.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return "", err
	}
	defer attached.Close()
	var output, problems bytes.Buffer
	if _, err := stdcopy.StdCopy(&output, &problems, attached.Reader); err != nil {
		return "", err
	}
	result, err := s.docker.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	if err == nil && result.ExitCode != 0 {
		err = fmt.Errorf("exit code %d: %s%s", result.ExitCode, output.String(), problems.String())
	}
	return output.String(), err
}

package harness

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"path"
	"strconv"

	"github.com/moby/moby/client"
)

// Backup returns the server's data, as an archive for [Server.Reset]. The server must be stopped, and be of a kind that keeps its
// data on a volume, such as NATS.
func (s *Server) Backup() []byte {
	s.tb.Helper()
	var archive []byte
	s.do("back up", func(ctx context.Context) error {
		copied, err := s.docker.CopyFromContainer(ctx, s.id, client.CopyFromContainerOptions{SourcePath: s.recipe.data})
		if err != nil {
			return err
		}
		defer copied.Content.Close()
		archive, err = io.ReadAll(copied.Content)
		return err
	})
	return archive
}

// Reset throws the server's data away, puts back what [Server.Backup] returned, or nothing if that is nil, and starts the
// server at its old address.
func (s *Server) Reset(archive []byte) {
	s.tb.Helper()
	s.do("reset", func(ctx context.Context) error {
		address, err := url.Parse(s.URL)
		if err != nil {
			return err
		}
		port, err := strconv.Atoi(address.Port())
		if err != nil {
			return err
		}
		img, err := image(ctx, s.recipe.name, s.recipe.version)
		if err != nil {
			return err
		}
		if err := s.remove(); err != nil {
			return err
		}
		if err := s.createAt(ctx, img, port, archive == nil); err != nil || archive == nil {
			return err
		}
		_, err = s.docker.CopyToContainer(ctx, s.id, client.CopyToContainerOptions{
			DestinationPath: path.Dir(s.recipe.data), Content: bytes.NewReader(archive),
		})
		if err != nil {
			return err
		}
		_, err = s.docker.ContainerStart(ctx, s.id, client.ContainerStartOptions{})
		return err
	})
	s.do("start", s.await)
}

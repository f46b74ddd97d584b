package throwaway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// superuser is the superuser of the servers that this package starts.
const superuser = "outbox"

// Options says where a Postgres may come from and who is told about it. All fields but URL are needed.
type Options struct {
	// URL is a server to use, as URL or as key=value words. Empty means: start one.
	URL string
	// Directory is an existing directory, empty and the demo's own, for the data of a server that is started.
	Directory string
	// Getenv reads the environment: OUTBOX_TEST_POSTGRES_IMAGE overrides the container image.
	Getenv func(string) string
	// Guard is told what to clean up should the demo be killed.
	Guard Guard
	// Say tells the person in front of the screen what takes long.
	Say func(format string, args ...any)
}

// Guard cleans up what the demo leaves behind when it is killed. [reaper.Reaper] is one.
type Guard interface {
	Postgres(dataDirectory string) error
	Container(name string) error
}

// Server is a Postgres that is ready.
type Server struct {
	// URL leads to a database that is empty and the demo's own, with the rights of its owner.
	URL string
	// Shown is what may be printed of URL. The password of a server that was given is left out; that of one that was started is
	// as short-lived as the server.
	Shown string
	// Version is what the server calls itself, such as "17.5".
	Version string
	// Origin says in a few words where it came from.
	Origin string

	stop func(ctx context.Context) error
}

// Stop removes the server, or the database in a server that was given. It is to be called once.
func (s *Server) Stop(ctx context.Context) error { return s.stop(ctx) }

// ErrNone is wrapped by the error of a [Start] that tried everything. A person can install a Postgres server, start Docker,
// or name a server.
var ErrNone = errors.New("no Postgres to play on")

// Start returns a ready Postgres, or says why none could be had and what to do.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.URL != "" {
		return startGiven(ctx, o.URL)
	}
	local, localErr := startLocal(ctx, o)
	if localErr == nil || ctx.Err() != nil {
		return local, localErr
	}
	container, containerErr := startContainer(ctx, o)
	if containerErr == nil || ctx.Err() != nil {
		return container, containerErr
	}
	return nil, fmt.Errorf("%w: %w", ErrNone, errors.Join(localErr, containerErr))
}

// address returns the URL of a server that this package started.
func address(hostPort, password string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, password), Host: hostPort, Path: "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// randomName returns a name that nothing else has, fit for a database and for a container.
func randomName() string { return "outbox_demo_" + strings.ToLower(rand.Text()[:12]) }

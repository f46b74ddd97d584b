package throwaway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// portTries is how often another port is tried when someone took the free one before Postgres did.
const portTries = 5

// patience is how long Postgres may take to follow a signal before it gets a harder one.
const patience = 10 * time.Second

// local is a cluster made by the server programs of this machine.
type local struct {
	programs  installed
	who       *identity
	directory string // everything of the cluster
	password  string
}

// startLocal creates a cluster with the programs of this machine and starts it.
func startLocal(ctx context.Context, o Options) (*Server, error) {
	programs, err := findInstalled(ctx, places)
	if err != nil {
		return nil, err
	}
	who, err := unprivileged(os.Geteuid())
	if err != nil {
		return nil, err
	}
	l := &local{programs: programs, who: who, directory: filepath.Join(o.Directory, "postgres"), password: rand.Text()}
	server, err := l.start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("Postgres %d from %s: %w", programs.major, programs.dir, err)
	}
	return server, nil
}

func (l *local) start(ctx context.Context, o Options) (*Server, error) {
	o.Say("Starting a throw-away Postgres %d from %s%s", l.programs.major, l.programs.dir, l.who)
	if err := l.initialise(ctx); err != nil {
		return nil, err
	}
	if err := o.Guard.Postgres(l.data()); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		p, url, err := l.launch(ctx)
		if err == nil {
			return l.server(ctx, p, url)
		}
		if try == portTries || ctx.Err() != nil || !errors.Is(err, errPortTaken) {
			return nil, err
		}
	}
}

func (l *local) data() string { return filepath.Join(l.directory, "data") }
func (l *local) log() string  { return filepath.Join(l.directory, "postgres.log") }

// initialise creates the cluster.
func (l *local) initialise(ctx context.Context) error {
	if err := os.Mkdir(l.directory, 0o700); err != nil {
		return err
	}
	secret := filepath.Join(l.directory, "password")
	if err := os.WriteFile(secret, []byte(l.password), 0o600); err != nil {
		return err
	}
	if err := errors.Join(l.who.own(l.directory), l.who.own(secret)); err != nil {
		return err
	}
	var output strings.Builder
	cmd := l.command("initdb", "--pgdata", l.data(), "--username", superuser, "--pwfile", secret, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--no-locale", "--no-sync")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := run(ctx, cmd, l.who); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, tail(output.String()))
	}
	return nil
}

// command returns one of the server programs with an environment that nobody's PGDATA or PGOPTIONS reaches.
func (l *local) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(l.programs.dir, name), args...)
	cmd.Dir = l.directory
	cmd.Env = []string{"PATH=" + l.programs.dir + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + l.directory}
	return cmd
}

// errPortTaken says that someone else listens on the port that was free a moment ago.
var errPortTaken = errors.New("the port was taken by another program")

// launch starts the server on a free port.
func (l *local) launch(ctx context.Context) (*process, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	logFile, err := os.Create(l.log())
	if err != nil {
		return nil, "", err
	}
	defer logFile.Close() //nolint:errcheck // nothing is written through it: the child has its own copy
	cmd := l.command("postgres", "-D", l.data(),
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+port,
		"-c", "unix_socket_directories=", "-c", "logging_collector=off")
	cmd.Stdout, cmd.Stderr = logFile, logFile
	p, err := startProcess(cmd, l.who)
	if err != nil {
		return nil, "", err
	}
	url := address(net.JoinHostPort("127.0.0.1", port), l.password)
	if _, err = waitReady(ctx, url, p.ended); err != nil {
		halt(p)
		return nil, "", l.explain(err)
	}
	return p, url, nil
}

// explain adds what the server wrote about its end.
func (l *local) explain(err error) error {
	text, readErr := os.ReadFile(l.log())
	if readErr != nil {
		return err
	}
	if strings.Contains(string(text), "could not bind") {
		return errPortTaken
	}
	return fmt.Errorf("%w\n%s", err, tail(string(text)))
}

func (l *local) server(ctx context.Context, p *process, url string) (*Server, error) {
	version, err := serverVersion(ctx, url)
	if err != nil {
		halt(p)
		return nil, err
	}
	return &Server{
		URL: url, Shown: url, Version: version, Origin: "from " + l.programs.dir + l.who.String(),
		stop: func(context.Context) error { halt(p); return nil },
	}, nil
}

// halt ends the server: first without waiting for its clients, then at once.
func halt(p *process) { p.stop(patience, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL) }

// freePort returns a port of 127.0.0.1 on which nobody listens now.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), nil
}

// tail returns the last lines of what a program wrote.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

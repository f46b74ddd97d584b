package broker

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
)

// maxPayload has room for the largest event that the outbox takes, with its headers.
const maxPayload = 2 << 20

// startTimeout bounds how long the server may take until it takes connections.
const startTimeout = 20 * time.Second

// Server is an embedded JetStream server with file storage, on a free port of 127.0.0.1. Its methods may be called from any
// goroutine. Use [Start].
type Server struct {
	directory string
	log       *zap.Logger
	port      int // the same after a restart

	mu      sync.Mutex
	running *server.Server // nil while the server is stopped
}

// Start starts a server that keeps its streams under directory and writes what it has to say to log.
func Start(directory string, log *zap.Logger) (*Server, error) {
	s := &Server{directory: directory, log: log, port: server.RANDOM_PORT}
	if err := s.Resume(); err != nil {
		return nil, err
	}
	s.port = s.running.Addr().(*net.TCPAddr).Port
	return s, nil
}

// URL is where clients connect.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

// Version is the version of the embedded server.
func (s *Server) Version() string { return server.VERSION }

// Stop cuts every connection and ends the server; the files stay. A stopped server stays stopped.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return
	}
	s.running.Shutdown()
	s.running.WaitForShutdown()
	s.running = nil
}

// Resume starts a stopped server again, with the streams that it had. A running server stays as it is.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return nil
	}
	running, err := server.NewServer(&server.Options{
		ServerName: "outbox-relay-demo", Host: "127.0.0.1", Port: s.port,
		MaxPayload: maxPayload, JetStream: true, StoreDir: s.directory, NoSigs: true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return fmt.Errorf("embedded JetStream server: %w", err)
	}
	log := newServerLog(s.log)
	running.SetLoggerV2(log, false, false, false)
	running.Start()
	if err := awaitReady(running, log); err != nil {
		running.Shutdown()
		running.WaitForShutdown()
		return fmt.Errorf("embedded JetStream server: %w", err)
	}
	s.running = running
	return nil
}

// awaitReady waits until the server takes connections, or says why it cannot.
func awaitReady(running *server.Server, log *serverLog) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		select {
		case cause := <-log.fatal:
			return errors.New(cause)
		default:
		}
		if running.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
	}
	return fmt.Errorf("it takes no connections after %v", startTimeout)
}

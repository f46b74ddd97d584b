package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// The limits of one connection: a client that is slow, or that never ends its request, holds nothing for long.
const (
	readHeaderTimeout = 3 * time.Second
	readTimeout       = 5 * time.Second
	writeTimeout      = 10 * time.Second
	idleTimeout       = 30 * time.Second // longer than the usual interval of a probe or a scraper
	maxHeaderBytes    = 16 << 10
)

// Server serves the handler of one relay. Create it with [Listen], then call [Server.Start].
type Server struct {
	listener net.Listener
	http     *http.Server
	log      *zap.Logger
	served   chan struct{} // closed when nothing is served any more
}

// Listen takes the address, host:port. Port 0 takes any free port, see [Server.Address]. Nothing is served before
// [Server.Start].
func Listen(ctx context.Context, address string, log *zap.Logger) (*Server, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	listener = &limiter{Listener: listener, limit: maxConns}
	return &Server{listener: listener, log: log, served: make(chan struct{})}, nil
}

// Address returns the address that the server listens on, with the port that was really taken.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Start serves handler until [Server.Close]. It is called once and returns at once. That serving fails later is only logged: the relay
// goes on without its server.
func (s *Server) Start(handler http.Handler) {
	s.http = &http.Server{
		Handler:           answering(handler),
		ConnContext:       remember,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(s.log.Named("http")),
	}
	go s.serve()
}

func (s *Server) serve() {
	defer close(s.served)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("the admin server has stopped", zap.String("address", s.Address()), zap.Error(err))
	}
}

// Close stops the server: requests that are being answered are finished until ctx ends, then they are cut off. A server that was never
// started only gives its address back.
func (s *Server) Close(ctx context.Context) error {
	if s.http == nil {
		return s.listener.Close()
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.served
	return err
}

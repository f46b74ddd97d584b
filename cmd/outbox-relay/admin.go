package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/cmd/outbox-relay/internal/admin"
)

// adminServer is the admin server of the daemon. A nil one is a server that is switched off.
type adminServer struct {
	*admin.Server
	log *zap.Logger
}

// listen takes the address of the admin server. It returns nil if admin.listen is empty.
func (d *daemon) listen(ctx context.Context) (*adminServer, error) {
	address := d.settings.Config.Admin.Listen
	if address == "" {
		return nil, nil
	}
	server, err := admin.Listen(ctx, address, d.log)
	if err != nil {
		return nil, &failure{
			what: "cannot listen on the address of the admin server", cause: err, value: d.settings.Show("admin.listen"),
			next: `stop the program that has the port, perhaps another relay, or set admin.listen to another address ("" for no server)`,
		}
	}
	return &adminServer{Server: server, log: d.log}, nil
}

func (s *adminServer) start(sources []*source, gatherer prometheus.Gatherer) {
	if s == nil {
		return
	}
	var shown []admin.Source
	for _, each := range sources {
		shown = append(shown, admin.Source{Name: each.settings.Source, Relay: each})
	}
	s.Start(admin.NewHandler(shown, gatherer))
	s.log.Info("admin server listens", zap.String("address", s.Address()))
}

func (s *adminServer) close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	return s.Close(ctx)
}

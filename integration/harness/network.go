package harness

import (
	"context"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Disconnect takes the server off its networks: its connections break, its address refuses new ones, and in a cluster
// the other nodes lose it. The server itself goes on. For a network that swallows packets in silence use [StartProxy].
func (s *Server) Disconnect() {
	s.tb.Helper()
	s.do("disconnect", func(ctx context.Context) error {
		inspected, err := s.docker.ContainerInspect(ctx, s.id, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		s.cut = inspected.Container.NetworkSettings.Networks
		for name := range s.cut {
			_, err := s.docker.NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: s.id, Force: true})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Reconnect puts a disconnected server back on its networks, and waits until it answers at its old address.
func (s *Server) Reconnect() {
	s.tb.Helper()
	s.do("reconnect", func(ctx context.Context) error {
		for name, endpoint := range s.cut {
			_, err := s.docker.NetworkConnect(ctx, name, client.NetworkConnectOptions{
				Container:      s.id,
				EndpointConfig: &network.EndpointSettings{Aliases: endpoint.Aliases},
			})
			if err != nil {
				return err
			}
		}
		s.cut = nil
		return s.await(ctx)
	})
}

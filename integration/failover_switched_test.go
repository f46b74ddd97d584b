package integration_test

import (
	"context"

	"github.com/gameoutbox/relay/relay"
)

// named is a broker in memory with another name.
type named struct {
	*memory
	name string
}

func (n *named) Name() string { return n.name }

// switched is a broker in memory with a fallback, of which the test says which is used.
type switched struct {
	*memory
	active relay.Publisher
}

func (s *switched) Use(context.Context) relay.Publisher { return s.active }

func (s *switched) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s *switched) Rehome() string { return "redis" }

func (s *switched) Failover() relay.FailoverStatus {
	return relay.FailoverStatus{Primary: s.Name(), Fallback: "redis", OnFallback: s.active != s.memory}
}

package redisstream

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// poolSize is how many connections a client may open: one publishes, others look whether the server answers.
const poolSize = 4

// client is a connection pool of the library, to one server, or to a Cluster.
type client interface {
	// primary returns the server that has the stream. All commands of a batch go through one connection to it.
	primary(ctx context.Context) (*redis.Client, error)
	// moved is told that the server does not have the stream any more, or takes no writes.
	moved(ctx context.Context)
	Close() error
}

// link is a client and the connections that it opened.
type link struct {
	client
	dialer *dialer
}

// newLink makes a client that waits for an answer for so long. It does not use the network yet; what waits for the network ends with ctx.
func (c Config) newLink(ctx context.Context, answer time.Duration) link {
	d := &dialer{timeout: c.ConnectTimeout, answer: answer, tls: c.TLS, ctx: ctx}
	return link{c.newClient(d), d}
}

func (c Config) newClient(d *dialer) client {
	quiet()
	switch {
	case c.Cluster:
		return &cluster{redis.NewClusterClient(c.clusterOptions(d)), c.Stream}
	case c.Sentinel.MasterName != "":
		return &single{redis.NewFailoverClient(c.sentinelOptions(d))}
	}
	options := c.options(d)
	options.Addr, options.DB = c.addresses()[0], c.DB
	return &single{redis.NewClient(options)}
}

// quiet stops the library from writing to standard error. What it says comes as an error too.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// options returns what every kind of client needs. The library's own retries would send a batch again without asking.
func (c Config) options(d *dialer) *redis.Options {
	return &redis.Options{
		ClientName: "outbox-relay", Dialer: d.dial, Protocol: 2, DisableIdentity: true, CredentialsProviderContext: c.credentials,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: c.ConnectTimeout,
		ReadTimeout: d.answer, WriteTimeout: d.answer, ContextTimeoutEnabled: true,
		PoolSize: poolSize, PoolTimeout: c.ConnectTimeout,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (c Config) sentinelOptions(d *dialer) *redis.FailoverOptions {
	o := c.options(d)
	return &redis.FailoverOptions{
		MasterName: c.Sentinel.MasterName, SentinelAddrs: c.addresses(),
		SentinelUsername: c.Sentinel.Username, SentinelPassword: c.Sentinel.Password, DB: c.DB,
		ClientName: o.ClientName, Dialer: o.Dialer, Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		CredentialsProviderContext: o.CredentialsProviderContext, MaxRetries: o.MaxRetries,
		DialerRetries: o.DialerRetries, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
	}
}

func (c Config) clusterOptions(d *dialer) *redis.ClusterOptions {
	o := c.options(d)
	return &redis.ClusterOptions{
		Addrs: c.addresses(), MaxRedirects: -1,
		ClientName: o.ClientName, Dialer: o.Dialer, Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		CredentialsProviderContext: o.CredentialsProviderContext, MaxRetries: o.MaxRetries,
		DialerRetries: o.DialerRetries, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
}

// single is one server, or the primary that the Sentinels name.
type single struct{ *redis.Client }

func (s *single) primary(context.Context) (*redis.Client, error) { return s.Client, nil }
func (s *single) moved(context.Context)                          {}

// cluster is the node of a Cluster that has the slot of the stream.
type cluster struct {
	*redis.ClusterClient
	stream string
}

func (c *cluster) primary(ctx context.Context) (*redis.Client, error) {
	return c.MasterForKey(ctx, c.stream)
}

func (c *cluster) moved(ctx context.Context) { c.ReloadState(ctx) }

package redisstream

import (
	"context"
	"fmt"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// Config holds the settings of the Redis publisher, the section "redis" of the configuration. Start from [DefaultConfig].
type Config struct {
	// Host is the name or address of the server. Empty means that there is no Redis.
	Host string `yaml:"host"`
	// Port is the server's TCP port, 1 to 65535.
	Port int `yaml:"port"`
	// Username is the ACL user that signs in. Empty means the user "default".
	Username string `yaml:"username"`
	// Password is sent at connecting. Empty means none.
	Password string `yaml:"password" secret:"true"`
	// DB is the number of the database, 0 or more. A Cluster has only 0.
	DB int `yaml:"db"`
	// Stream is the key of the stream that events are added to.
	Stream string `yaml:"stream"`

	// Addresses are the nodes of a Cluster to begin with, or the Sentinels, each as host:port. Empty means Host and Port.
	Addresses []string `yaml:"addresses"`
	// Cluster says that the server is a Redis Cluster. The stream lives on the node that has its slot.
	Cluster bool `yaml:"cluster"`
	// Sentinel is used when its MasterName is set.
	Sentinel Sentinel `yaml:"sentinel"`
	// TLS encrypts the connections, those to Sentinels too.
	TLS TLS `yaml:"tls"`

	// ConnectTimeout bounds one attempt to connect and to look at the stream, 100 ms to 5 min.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// PublishTimeout is how long the server may leave sent events without an answer, 100 ms to 5 min.
	PublishTimeout time.Duration `yaml:"publish_timeout"`

	// DedupWindow is for how long the server recognises an event that it already stored, 1 s to 24 h. It remembers the
	// latest 500,000 events, about 100 bytes each, also where they came within less time; older ones may be forgotten then.
	DedupWindow time.Duration `yaml:"dedup_window"`
	// MaxLen is about how many entries the stream keeps. Older ones are removed whether or not anybody has read them, so a consumer
	// that is behind loses events. 0 means no limit.
	MaxLen int64 `yaml:"max_len"`
	// MaxAge is about how old the entries are that the stream keeps, at least 1 s. Older ones are removed as with MaxLen, and
	// with the same loss. 0 means no limit.
	MaxAge time.Duration `yaml:"max_age"`

	// WaitReplicas is how many replicas must have an event before it counts as stored. 0 means that the primary's word is enough,
	// which a failover may break.
	WaitReplicas int `yaml:"wait_replicas"`
	// WaitAOF says that the primary, and WaitReplicas replicas, must have an event in their append-only file on disk before it
	// counts as stored. It needs Redis 7.2 and appendonly.
	WaitAOF bool `yaml:"wait_aof"`
	// WaitTimeout bounds the wait for both, 10 ms to 5 min. Events for which it was too short are sent again, with the same ids.
	WaitTimeout time.Duration `yaml:"wait_timeout"`

	// Reread returns the settings with Password and Sentinel.Password as they are now, for secrets that are rotated; its other fields are
	// not looked at. It is called for each connection, and for Sentinels when they have refused the old one. Nil means that they stay.
	Reread func() (Config, error) `yaml:"-"`
}

// fresh returns the settings with the secrets as they are now.
func (c Config) fresh() (Config, error) {
	if c.Reread == nil {
		return c, nil
	}
	now, err := c.Reread()
	if err != nil {
		return c, fmt.Errorf("%w: %w", relay.ErrMisconfigured, err)
	}
	c.Password, c.Sentinel.Password = now.Password, now.Sentinel.Password
	return c, nil
}

// credentials are those of a connection that is made now.
func (c Config) credentials(context.Context) (username, password string, err error) {
	now, err := c.fresh()
	return now.Username, now.Password, err
}

// Sentinel says how to find the primary through Redis Sentinel. The Sentinels are [Config].Addresses.
type Sentinel struct {
	// MasterName is the name under which the Sentinels know the primary. Empty means no Sentinel.
	MasterName string `yaml:"master_name"`
	// Username and Password sign in to the Sentinels themselves. Empty means not to.
	Username string `yaml:"username"`
	Password string `yaml:"password" secret:"true"`
}

// TLS holds the settings of encrypted connections. Files are read again at each connection, so that a renewed certificate is
// used without a restart.
type TLS struct {
	// Enabled switches encryption on. One of the other fields does so too.
	Enabled bool `yaml:"enabled"`
	// CAFile holds the certificates, in PEM, that may sign the server's. Empty means those of the system.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile hold the certificate of the client and its key, in PEM. Both are set or none.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name in the server's certificate. Empty means the host that is connected to.
	ServerName string `yaml:"server_name"`
}

// DefaultConfig returns the settings that hold in a configured section.
func DefaultConfig() Config {
	return Config{
		Host:           "localhost",
		Port:           6379,
		Stream:         "game:events",
		ConnectTimeout: 5 * time.Second,
		PublishTimeout: 5 * time.Second,
		DedupWindow:    2 * time.Minute,
		WaitTimeout:    time.Second,
	}
}

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError], without secrets. Settings
// without a Host are not looked at, for they are not used.
func (c Config) Validate() error {
	if c.Host == "" {
		return nil
	}
	var v relay.Fields
	c.checkServer(&v)
	c.checkStream(&v)
	v.Check(isTimeout(c.ConnectTimeout), "connect_timeout", c.ConnectTimeout, "100ms to 5m")
	v.Check(isTimeout(c.PublishTimeout), "publish_timeout", c.PublishTimeout, "100ms to 5m")
	v.Check(c.WaitReplicas >= 0, "wait_replicas", c.WaitReplicas, "0 (none) or more")
	v.Check(c.WaitTimeout >= 10*time.Millisecond && c.WaitTimeout <= 5*time.Minute, "wait_timeout", c.WaitTimeout, "10ms to 5m")
	v.Check((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "tls.key_file", quote(c.TLS.KeyFile), "set together with tls.cert_file, or neither")
	return v.Err()
}

func (c Config) checkServer(v *relay.Fields) {
	v.Check(validHost(c.Host), "host", shownAddress(c.Host), "a name or an address alone, such as localhost"+c.hostHint())
	v.Check(c.Port >= 1 && c.Port <= 65535, "port", c.Port, "1 to 65535")
	v.Check(c.Username == "" || c.Password != "", "username", "set without password", "username and password together")
	v.Check(c.DB >= 0, "db", c.DB, "0 or more")
	v.Check(c.DB == 0 || !c.Cluster, "db", c.DB, "0, the only database of a Cluster")
	for i, address := range c.Addresses {
		shown := shownAddress(address)
		if len(c.Addresses) > 1 {
			shown = fmt.Sprintf("a list in which number %d is no address", i+1)
		}
		v.Check(validAddress(address), "addresses", shown, "host:port, such as redis-1:6379")
	}
	sentinel := c.Sentinel
	v.Check(!c.Cluster || sentinel.MasterName == "", "cluster", "true together with sentinel.master_name", "one of the two")
	v.Check(sentinel.MasterName != "" || sentinel.Username == "" && sentinel.Password == "", "sentinel.master_name", `""`,
		"the name of the primary, for sentinel.username or sentinel.password is set")
	v.Check(sentinel.Username == "" || sentinel.Password != "", "sentinel.username", "set without sentinel.password",
		"sentinel.username and sentinel.password together")
	v.Check(len(c.Addresses) <= 1 || c.Cluster || sentinel.MasterName != "", "addresses", shownAddresses(c.Addresses),
		"one address, or set cluster to true, or sentinel.master_name")
}

func (c Config) checkStream(v *relay.Fields) {
	v.Check(c.Stream != "", "stream", `""`, "the key of a stream, such as game:events")
	v.Check(c.Stream == "" || hasTag(c.Stream), "stream", quote(c.Stream),
		"a key without }, or with a hash tag such as {game}:events, for the ids must be kept in the stream's slot")
	v.Check(c.DedupWindow >= time.Second && c.DedupWindow <= 24*time.Hour, "dedup_window", c.DedupWindow, "1s to 24h")
	v.Check(c.MaxLen >= 0, "max_len", c.MaxLen, "0 (no limit) or more")
	v.Check(c.MaxAge == 0 || c.MaxAge >= time.Second, "max_age", c.MaxAge, "0 (no limit), or 1s or more")
}

func isTimeout(d time.Duration) bool { return d >= 100*time.Millisecond && d <= 5*time.Minute }

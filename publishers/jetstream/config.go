package jetstream

import (
	"fmt"
	"strings"
	"time"

	"github.com/gameoutbox/relay/relay"
)

// Config holds the settings of the JetStream publisher, the section "mq" of the configuration. Start from [DefaultConfig].
type Config struct {
	// NATSURL is where the NATS servers are: one URL, or several separated by commas, such as
	// "nats://nats-1:4222,nats://nats-2:4222". The schemes nats, tls, ws and wss are known; without one it is nats. A URL may
	// hold user:password or a token; it is never printed then. Empty means that there is no NATS.
	NATSURL string `yaml:"nats_url"`
	// Domain is the JetStream domain that the stream is in, where it is not that of the servers of NATSURL: a hub, for a relay at
	// a leaf node. Empty means their own.
	Domain string `yaml:"domain"`
	// APIPrefix is the subject of the JetStream API, where the account imports it from another one. Empty means $JS.API. It cannot be
	// combined with Domain, which is short for $JS.<domain>.API.
	APIPrefix string `yaml:"api_prefix"`
	// StreamName is the stream that stores the events.
	StreamName string `yaml:"stream_name"`
	// Subjects are the subjects that the stream must capture. An event whose subject the stream does not capture waits in
	// Postgres until the stream does.
	Subjects []string `yaml:"subjects"`

	// CreateStream says whether a missing stream is created. A stream that exists is checked and never altered.
	CreateStream bool `yaml:"create_stream"`
	// Replicas is how many servers of a cluster store each event, 1 to 5. 3 survives the loss of one server.
	Replicas int `yaml:"replicas"`
	// Storage is where a server keeps the events: "file", or "memory", which loses them when the server stops.
	Storage string `yaml:"storage"`
	// DuplicateWindow is for how long the stream recognises an event that it already stored, at least 1 s. It costs the server
	// about 140 bytes of memory an event. It should be longer than the longest outage of the relay.
	DuplicateWindow time.Duration `yaml:"duplicate_window"`
	// MaxAge is after how long the stream drops an event. 0 means never.
	MaxAge time.Duration `yaml:"max_age"`
	// MaxBytes is the most that the stream stores. A full stream refuses events, which then wait in Postgres. 0 means no limit.
	MaxBytes int64 `yaml:"max_bytes"`

	// ConnectTimeout bounds one attempt to connect and to make the stream ready, 100 ms to 5 min.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// PublishTimeout is how long the server may leave sent events without any new acknowledgement, 100 ms to 5 min.
	PublishTimeout time.Duration `yaml:"publish_timeout"`

	// User and Password sign in by name. They are used where the URL holds none.
	User     string `yaml:"user"`
	Password string `yaml:"password" secret:"true"`
	// Token signs in by a shared token.
	Token string `yaml:"token" secret:"true"`
	// NKeyFile is the path of a file with the seed of a user's nkey.
	NKeyFile string `yaml:"nkey_file"`
	// CredsFile is the path of a credentials file: a user's JWT and the seed of its nkey.
	CredsFile string `yaml:"creds_file"`
	// InboxPrefix is the subject under which the server answers. The user needs the permission to subscribe to it and
	// everything below it.
	InboxPrefix string `yaml:"inbox_prefix"`
	// TLS is used when one of its fields is set, when the scheme of the URL is tls, and when the server demands it.
	TLS TLS `yaml:"tls"`

	// Reread returns the settings with NATSURL, Password and Token as they are now, for secrets that are rotated; its other fields are
	// not looked at. It is called for each new session, and a server that refuses the credentials of an old one makes a new one. Nil means
	// that the secrets stay. The files of NKeyFile and CredsFile are read again likewise.
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
	c.NATSURL, c.Password, c.Token = now.NATSURL, now.Password, now.Token
	return c, nil
}

// TLS holds the settings of an encrypted connection. Files are read again at each connection, so that a renewed
// certificate is used without a restart.
type TLS struct {
	// CAFile holds the certificates, in PEM, that may sign the server's. Empty means those of the system.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile hold the certificate of the client and its key, in PEM. Both are set or none.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name in the server's certificate. Empty means the host of the URL.
	ServerName string `yaml:"server_name"`
}

// DefaultConfig returns the settings that hold in a configured section.
func DefaultConfig() Config {
	return Config{
		NATSURL:         "nats://localhost:4222",
		StreamName:      "game-events",
		Subjects:        []string{"game.>"},
		CreateStream:    true,
		Replicas:        1,
		Storage:         "file",
		DuplicateWindow: 2 * time.Minute,
		ConnectTimeout:  5 * time.Second,
		PublishTimeout:  5 * time.Second,
		InboxPrefix:     "_INBOX",
	}
}

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError], without secrets. Settings
// without a NATSURL are not looked at, for they are not used.
func (c Config) Validate() error {
	if c.NATSURL == "" {
		return nil
	}
	var v relay.Fields
	_, problem := parseServers(c.NATSURL)
	v.Check(problem == "", "nats_url", "a list of servers in which "+problem, "URLs such as nats://host:4222, separated by commas")
	c.checkAPI(&v)
	c.checkStream(&v)
	v.Check(isTimeout(c.ConnectTimeout), "connect_timeout", c.ConnectTimeout, "100ms to 5m")
	v.Check(isTimeout(c.PublishTimeout), "publish_timeout", c.PublishTimeout, "100ms to 5m")
	c.checkSignIn(&v)
	v.Check(validSubject(c.InboxPrefix), "inbox_prefix", quote(c.InboxPrefix), "a subject without wildcards, such as _INBOX")
	v.Check((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "tls.key_file", quote(c.TLS.KeyFile), "set together with tls.cert_file, or neither")
	return v.Err()
}

func (c Config) checkAPI(v *relay.Fields) {
	v.Check(c.Domain == "" || validSubject(c.Domain) && !strings.Contains(c.Domain, "."), "domain", quote(c.Domain),
		"the name of a JetStream domain, without whitespace and without . * >")
	v.Check(c.APIPrefix == "" || validSubject(c.APIPrefix), "api_prefix", quote(c.APIPrefix),
		"a subject without wildcards and without a dot at its end, such as JS.hub.API")
	v.Check(c.Domain == "" || c.APIPrefix == "", "api_prefix", quote(c.APIPrefix), "domain or api_prefix; they cannot be combined")
}

func (c Config) checkStream(v *relay.Fields) {
	v.Check(validStreamName(c.StreamName), "stream_name", quote(c.StreamName), "a name without whitespace and without . * > / \\")
	v.Check(len(c.Subjects) > 0, "subjects", "empty", "at least one subject, such as game.>")
	for _, subject := range c.Subjects {
		v.Check(validPattern(subject), "subjects", quote(subject), "a subject; * stands for one token, > at the end for all that follow")
	}
	v.Check(c.Replicas >= 1 && c.Replicas <= 5, "replicas", c.Replicas, "1 to 5")
	v.Check(c.Storage == "file" || c.Storage == "memory", "storage", quote(c.Storage), "file or memory")
	v.Check(c.DuplicateWindow >= time.Second, "duplicate_window", c.DuplicateWindow, "1s or more")
	v.Check(c.MaxAge == 0 || c.MaxAge >= c.DuplicateWindow, "max_age", c.MaxAge, "0 (never) or at least duplicate_window")
	v.Check(c.MaxBytes >= 0, "max_bytes", c.MaxBytes, "0 (no limit) or more")
}

// checkSignIn refuses two ways to sign in at once, for NATS uses one of them and does not say which.
func (c Config) checkSignIn(v *relay.Fields) {
	var ways []string
	for _, way := range []struct{ name, value string }{
		{"user", c.User}, {"token", c.Token}, {"nkey_file", c.NKeyFile}, {"creds_file", c.CredsFile},
	} {
		if way.value != "" {
			ways = append(ways, way.name)
		}
	}
	if len(ways) > 1 {
		v.Check(false, ways[1], "set together with "+ways[0], "one of user, token, nkey_file and creds_file")
	}
	v.Check(c.Password == "" || c.User != "", "password", "set without user", "user and password together")
}

func isTimeout(d time.Duration) bool { return d >= 100*time.Millisecond && d <= 5*time.Minute }

// validStreamName tells whether a server would take the name of a stream.
func validStreamName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r)
	})
}

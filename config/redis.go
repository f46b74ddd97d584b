package config

import "github.com/gameoutbox/relay/relay"

// Redis holds the settings of Redis Streams, the section "redis". Start from [DefaultRedis]. The keys are fixed already; a
// build without a Redis publisher refuses to run when the section is configured.
type Redis struct {
	// Host is the name or address of the server. Empty means no Redis.
	Host string `yaml:"host"`
	// Port is the server's TCP port, 1 to 65535.
	Port int `yaml:"port"`
	// Password is sent at connecting. Empty means none.
	Password string `yaml:"password"`
	// DB is the number of the database, 0 or more.
	DB int `yaml:"db"`
	// Stream is the key of the stream that events are added to.
	Stream string `yaml:"stream"`
}

// DefaultRedis returns the settings that hold in a configured section.
func DefaultRedis() Redis {
	return Redis{Host: "localhost", Port: 6379, Stream: "game:events"}
}

// Validate returns every problem of the settings at once, joined; each is a [*relay.FieldError].
func (r Redis) Validate() error {
	var v relay.Fields
	v.Check(r.Port >= 1 && r.Port <= 65535, "port", r.Port, "1 to 65535")
	v.Check(r.DB >= 0, "db", r.DB, "0 or more")
	v.Check(r.Stream != "", "stream", `""`, "the key of a stream, such as game:events")
	return v.Err()
}

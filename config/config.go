package config

import (
	"github.com/gameoutbox/relay/publishers/failover"
	"github.com/gameoutbox/relay/publishers/jetstream"
	"github.com/gameoutbox/relay/publishers/redisstream"
	"github.com/gameoutbox/relay/relay"
)

// Config is the whole configuration; a field is a section. Start from [DefaultConfig], or get it from [Load].
type Config struct {
	Postgres Postgres           `yaml:"postgres"`
	MQ       jetstream.Config   `yaml:"mq"`
	Redis    redisstream.Config `yaml:"redis"`
	Failover failover.Config    `yaml:"failover"`
	Admin    Admin              `yaml:"admin"`
	Log      Log                `yaml:"log"`
	Relay    relay.Config       `yaml:"relay"`
}

// DefaultConfig returns the defaults of every section. What [Load] returns when nothing is set differs in two values, see
// the package documentation: mq.nats_url and redis.host are empty there.
func DefaultConfig() Config {
	return Config{
		Postgres: DefaultPostgres(),
		MQ:       jetstream.DefaultConfig(),
		Redis:    redisstream.DefaultConfig(),
		Failover: failover.DefaultConfig(),
		Admin:    DefaultAdmin(),
		Log:      DefaultLog(),
		Relay:    relay.DefaultConfig(),
	}
}

// UsesNATS tells whether NATS JetStream is configured.
func (c Config) UsesNATS() bool { return c.MQ.NATSURL != "" }

// UsesRedis tells whether Redis is configured.
func (c Config) UsesRedis() bool { return c.Redis.Host != "" }

// UsesFailover tells whether there are two brokers: NATS, and Redis as its fallback.
func (c Config) UsesFailover() bool { return c.UsesNATS() && c.UsesRedis() }

// section is a part of the configuration that can tell what is wrong with it.
type section struct {
	name     string
	validate func() error
}

// sections returns the sections that are in use, in the order of [Config].
func (c Config) sections() []section {
	sections := []section{{"postgres", c.Postgres.Validate}}
	if c.UsesNATS() {
		sections = append(sections, section{"mq", c.MQ.Validate})
	}
	if c.UsesRedis() {
		sections = append(sections, section{"redis", c.Redis.Validate})
	}
	if c.UsesFailover() {
		sections = append(sections, section{"failover", c.Failover.Validate})
	}
	return append(sections,
		section{"admin", c.Admin.Validate},
		section{"log", c.Log.Validate},
		section{"relay", c.Relay.Validate},
	)
}

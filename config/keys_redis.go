package config

func (c *Config) redisKeys() []key {
	r := &c.Redis
	keys := []key{
		{name: "redis.host", field: textValue(&r.Host), unsure: concealAddress,
			help: `Name or address of the server. "" means no Redis, and so does a configuration without any redis key.`},
		{name: "redis.port", field: intValue(&r.Port), help: "TCP port of the server, 1 to 65535."},
		{name: "redis.username", field: textValue(&r.Username), help: `ACL user that signs in. "" means the user "default".`},
		{name: "redis.password", field: textValue(&r.Password), redact: redactSecret, help: "Password of the server."},
		{name: "redis.db", field: intValue(&r.DB), help: "Number of the database, 0 or more. A Cluster has only 0."},
		{name: "redis.stream", field: textValue(&r.Stream), help: "Key of the stream that events are added to."},
		{name: "redis.connect_timeout", field: durationValue(&r.ConnectTimeout),
			help: "Longest time for one attempt to connect and to look at the stream, 100ms to 5m."},
		{name: "redis.publish_timeout", field: durationValue(&r.PublishTimeout),
			help: "Longest time that the server may leave sent events without an answer, 100ms to 5m."},
		{name: "redis.dedup_window", field: durationValue(&r.DedupWindow),
			help: "How long the server recognises an event that it already stored, 1s to 24h. It remembers the latest 500,000 events " +
				"at least, about 100 bytes each; older ones may be forgotten sooner."},
		{name: "redis.max_len", field: intValue(&r.MaxLen),
			help: "About how many entries the stream keeps. Older ones are removed even if nobody has read them. 0 means no limit."},
		{name: "redis.max_age", field: durationValue(&r.MaxAge),
			help: "About how old entries may become, at least 1s. Older ones are removed even if nobody has read them. 0 means no limit."},
		{name: "redis.wait_replicas", field: intValue(&r.WaitReplicas),
			help: "Replicas that must have an event before it counts as stored (WAIT). 0 means that the primary's word is enough."},
		{name: "redis.wait_aof", field: boolValue(&r.WaitAOF),
			help: "Whether the primary, and redis.wait_replicas replicas, must have an event on disk before it counts as stored " +
				"(WAITAOF, Redis 7.2 with appendonly)."},
		{name: "redis.wait_timeout", field: durationValue(&r.WaitTimeout),
			help: "Longest wait for replicas and disks, 10ms to 5m; then the events are sent again."},
	}
	return append(keys, c.redisServerKeys()...)
}

// redisServerKeys are the settings of Redis that is more than one server, and of encryption.
func (c *Config) redisServerKeys() []key {
	r := &c.Redis
	return []key{
		{name: "redis.addresses", field: listValue{&r.Addresses}, unsure: concealAddress,
			help: "Nodes of a Cluster to begin with, or the Sentinels, each as host:port. Empty means redis.host and redis.port."},
		{name: "redis.cluster", field: boolValue(&r.Cluster), help: "Whether the server is a Redis Cluster."},
		{name: "redis.sentinel.master_name", field: textValue(&r.Sentinel.MasterName),
			help: "Name under which the Sentinels of redis.addresses know the primary. Empty means no Sentinel."},
		{name: "redis.sentinel.username", field: textValue(&r.Sentinel.Username), help: "ACL user that signs in to the Sentinels."},
		{name: "redis.sentinel.password", field: textValue(&r.Sentinel.Password), redact: redactSecret, help: "Password of the Sentinels."},
		{name: "redis.tls.enabled", field: boolValue(&r.TLS.Enabled),
			help: "Whether connections are encrypted, those to Sentinels too. Another key of redis.tls says so as well; false beside one is refused."},
		{name: "redis.tls.ca_file", field: textValue(&r.TLS.CAFile), unsure: concealPath,
			help: "Certificates (PEM) that may sign the server's. Empty means those of the system."},
		{name: "redis.tls.cert_file", field: textValue(&r.TLS.CertFile), unsure: concealPath, help: "Certificate (PEM) of the client; set together with redis.tls.key_file."},
		{name: "redis.tls.key_file", field: textValue(&r.TLS.KeyFile), unsure: concealPath, help: "Key (PEM) of the client's certificate."},
		{name: "redis.tls.server_name", field: textValue(&r.TLS.ServerName),
			help: "Name in the server's certificate. Empty means the host that is connected to."},
	}
}

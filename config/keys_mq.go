package config

func (c *Config) natsKeys() []key {
	mq := &c.MQ
	keys := []key{
		{name: "mq.nats_url", field: textValue(&mq.NATSURL), redact: RedactNATS,
			help: `NATS servers, separated by commas. "" means no NATS, and so does a configuration without any mq key.`},
		{name: "mq.domain", field: textValue(&mq.Domain),
			help: "JetStream domain of the stream, where it is not that of the servers in mq.nats_url: the hub's, at a leaf node."},
		{name: "mq.api_prefix", field: textValue(&mq.APIPrefix),
			help: "Subject of the JetStream API, where the account imports it. Empty means $JS.API. It cannot be combined with mq.domain."},
		{name: "mq.stream_name", field: textValue(&mq.StreamName), help: "Stream that stores the events."},
		{name: "mq.subjects", field: listValue{&mq.Subjects},
			help: "Subjects that the stream must capture. An event with another subject waits in Postgres."},
		{name: "mq.create_stream", field: boolValue(&mq.CreateStream),
			help: "Whether a missing stream is created. A stream that exists is checked and never altered."},
		{name: "mq.replicas", field: intValue(&mq.Replicas), help: "Servers that store each event, 1 to 5. Used when the stream is created."},
		{name: "mq.storage", field: textValue(&mq.Storage), help: "Where a server keeps the events: file or memory. Memory loses them when the server stops."},
		{name: "mq.duplicate_window", field: durationValue(&mq.DuplicateWindow),
			help: "How long the stream recognises an event that it already stored, at least 1s."},
		{name: "mq.max_age", field: durationValue(&mq.MaxAge), help: "Age at which the stream drops an event; 0 means never."},
		{name: "mq.max_bytes", field: sizeValue(&mq.MaxBytes),
			help: "Most bytes in the stream; a full stream refuses events, which then wait in Postgres. 0 means no limit."},
		{name: "mq.connect_timeout", field: durationValue(&mq.ConnectTimeout),
			help: "Longest time for one attempt to connect and to make the stream ready, 100ms to 5m."},
		{name: "mq.publish_timeout", field: durationValue(&mq.PublishTimeout),
			help: "Longest silence of the server after events were sent, 100ms to 5m."},
	}
	return append(keys, c.natsSignInKeys()...)
}

// natsSignInKeys are the settings of who the relay is to NATS, and of how it knows the server.
func (c *Config) natsSignInKeys() []key {
	mq := &c.MQ
	return []key{
		{name: "mq.user", field: textValue(&mq.User), help: "User that signs in by password, where the URL names none."},
		{name: "mq.password", field: textValue(&mq.Password), redact: redactSecret, help: "Password of mq.user."},
		{name: "mq.token", field: textValue(&mq.Token), redact: redactSecret, help: "Shared token to sign in with."},
		{name: "mq.nkey_file", field: textValue(&mq.NKeyFile), unsure: concealPath, help: "File with the seed of an nkey to sign in with."},
		{name: "mq.creds_file", field: textValue(&mq.CredsFile), unsure: concealPath, help: "Credentials file, a JWT and its seed, to sign in with."},
		{name: "mq.inbox_prefix", field: textValue(&mq.InboxPrefix),
			help: "Subject under which the server answers; the user must be allowed to subscribe below it."},
		{name: "mq.tls.ca_file", field: textValue(&mq.TLS.CAFile), unsure: concealPath,
			help: "Certificates (PEM) that may sign the server's. Empty means those of the system."},
		{name: "mq.tls.cert_file", field: textValue(&mq.TLS.CertFile), unsure: concealPath, help: "Certificate (PEM) of the client; set together with mq.tls.key_file."},
		{name: "mq.tls.key_file", field: textValue(&mq.TLS.KeyFile), unsure: concealPath, help: "Key (PEM) of the client's certificate."},
		{name: "mq.tls.server_name", field: textValue(&mq.TLS.ServerName),
			help: "Name in the server's certificate. Empty means the host of the URL."},
	}
}

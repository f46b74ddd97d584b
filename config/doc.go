// Package config reads the configuration of outbox-relay.
//
// A setting has one key, such as mq.nats_url, and three places to be set in. A later one wins over an earlier one:
//
//	config.yaml     mq: {nats_url: "nats://localhost:4222"}
//	environment     OUTBOX_MQ_NATS_URL=nats://localhost:4222
//	command line    --mq.nats_url=nats://localhost:4222
//
// A secret may also come from a file, in each of the three places: redis.password_file, OUTBOX_REDIS_PASSWORD_FILE,
// --redis.password_file. One newline at the end of that file, or of a variable, is not part of the value.
//
// # Sources
//
// A relay may serve several databases. The file then has a list instead of postgres.url, one item a database:
//
//	sources:
//	  - name: eu
//	    postgres: {url_file: /run/secrets/eu}
//	  - name: us-west
//	    postgres: {url_file: /run/secrets/us-west}
//	    mq: {stream_name: us-west-events, subjects: ["us-west.>"]}
//
// What a source does not set it takes from the sections of the whole, however those are set; postgres.url is the one thing that it
// must set itself. Only the file lists sources: a list has no place in a variable, and a source that a misspelt variable
// brought to life would be worse than none. A variable changes a key of a source that is listed:
// OUTBOX_SOURCES_US_WEST_POSTGRES_URL is that of us-west, and so ..._URL_FILE. A flag stands for the whole, for all flags are known before
// the file is read. [Settings.Sources] gives the settings of each source, also where none is listed: then it is one.
//
// # Strict
//
// [Load] refuses what it does not understand, and reports every [Problem] at once: an unknown key, a key written twice, a
// wrong type, an impossible value, a secret that cannot be read, postgres.url beside sources. The types of YAML are taken seriously: an unquoted number is
// not a text. A setting without a value is refused too, for it may mean "the default" or "nothing".
//
// The merge keys of YAML work (<<: *anchor), and top-level keys that begin with x- are places for anchors.
//
// Of the environment, a variable whose name begins with OUTBOX_ and a section (OUTBOX_MQ_, OUTBOX_RELAY_ and so on) belongs
// to outbox-relay, so an unknown one is refused; so is any name a letter or two away from a known one. Left alone are all
// other OUTBOX_ variables, for other programs use that prefix; OUTBOX_TEST_... and OUTBOX_..._IMAGE, which the tests and
// compose.yaml read; and what Kubernetes makes for a service named outbox-relay or outbox-redis, such as
// OUTBOX_REDIS_PORT=tcp://10.0.0.1:6379.
//
// # Which broker
//
// The sections mq and redis count as configured when they are present in the file, even without a key in them, or when a
// variable or a flag sets one of their keys. Inside a configured section the defaults hold, so that `mq: {}` means
// nats://localhost:4222. In a section that is not configured mq.nats_url and redis.host are empty, which means "none": with
// nothing configured at all, the relay only logs its events. An explicit mq.nats_url of "" means "no NATS" as well. A source
// without mq and redis uses NATS at its default address where another source does.
//
// # Secrets
//
// A password never appears in a [Problem] or in what [Settings.Print] writes, also not the one inside a URL. Where it is not
// certain which part of a text is the password, the whole text is hidden. The value of an unknown key is never shown, for it
// may be a misspelt password.
package config

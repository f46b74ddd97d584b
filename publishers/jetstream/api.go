package jetstream

import (
	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
)

// api returns the JetStream API of the stream.
func (c Config) api(nc *nats.Conn) (jsapi.JetStream, error) {
	switch {
	case c.Domain != "":
		return jsapi.NewWithDomain(nc, c.Domain)
	case c.APIPrefix != "":
		return jsapi.NewWithAPIPrefix(nc, c.APIPrefix)
	}
	return jsapi.New(nc)
}

// apiPrefix returns the subject below which that API is.
func (c Config) apiPrefix() string {
	switch {
	case c.Domain != "":
		return "$JS." + c.Domain + ".API"
	case c.APIPrefix != "":
		return c.APIPrefix
	}
	return "$JS.API"
}

// cli returns the options by which the nats CLI reaches the stream.
func (c Config) cli() cli {
	switch {
	case c.Domain != "":
		return cli(" --js-domain=" + shell(c.Domain))
	case c.APIPrefix != "":
		return cli(" --js-api-prefix=" + shell(c.APIPrefix))
	}
	return ""
}

// apiAdvice says what may be wrong where the API does not answer.
func (c Config) apiAdvice() string {
	switch {
	case c.Domain != "":
		return "check mq.domain, and that the leaf node connection to that domain is up"
	case c.APIPrefix != "":
		return "check mq.api_prefix, and that the account imports it"
	}
	return "is it enabled (nats-server -js)? For a stream in another JetStream domain set mq.domain"
}

// apiName names the API for a person who looks for it.
func (c Config) apiName() string {
	switch {
	case c.Domain != "":
		return "the JetStream domain " + quote(c.Domain)
	case c.APIPrefix != "":
		return "the JetStream API " + c.APIPrefix
	}
	return "its JetStream"
}

package jetstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gameoutbox/relay/relay"
)

const (
	// pingInterval and maxPings notice within about ten seconds that a server is dead which closed nothing; the library's
	// own values take four minutes.
	pingInterval = 3 * time.Second
	maxPings     = 2

	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
)

// options returns the settings of a connection, without its handlers.
func (c Config) options(d *dialer) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name("outbox-relay"),
		nats.CustomInboxPrefix(c.InboxPrefix),
		nats.SetCustomDialer(d),
		nats.Timeout(d.timeout),
		// A write that the server does not read must not hold the client's lock for the library's minute.
		nats.FlusherTimeout(c.PublishTimeout),
		nats.ReconnectOnFlusherError(),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Nothing is kept while there is no connection: it would be sent after Publish has said that it was not.
		nats.ReconnectBufSize(-1),
		// Two equal refusals of the credentials would end the library's attempts for good.
		nats.IgnoreAuthErrorAbort(),
		nats.SkipSubjectValidation(), // every event's subject is checked, more strictly
	}
	signIn, err := c.signIn()
	if err != nil {
		return nil, err
	}
	encryption, err := c.TLS.options()
	return append(append(options, signIn...), encryption...), err
}

func (c Config) signIn() ([]nats.Option, error) {
	switch {
	case c.User != "":
		return []nats.Option{nats.UserInfo(c.User, c.Password)}, nil
	case c.Token != "":
		return []nats.Option{nats.Token(c.Token)}, nil
	case c.NKeyFile != "":
		option, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		return []nats.Option{option}, unusable("nkey_file", err)
	case c.CredsFile != "":
		_, err := os.ReadFile(c.CredsFile)
		return []nats.Option{nats.UserCredentials(c.CredsFile)}, unusable("creds_file", err)
	}
	return nil, nil
}

func (t TLS) options() ([]nats.Option, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	// The library finds a bad file only when it connects, and its error does not say which setting is wrong.
	if err := t.check(); err != nil {
		return nil, err
	}
	options := []nats.Option{nats.Secure(&tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12})}
	if t.CAFile != "" {
		options = append(options, nats.RootCAs(t.CAFile))
	}
	if t.CertFile != "" {
		options = append(options, nats.ClientCert(t.CertFile, t.KeyFile))
	}
	return options, nil
}

func (t TLS) check() error {
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s holds no certificate in PEM", t.CAFile)
		}
		if err != nil {
			return unusable("tls.ca_file", err)
		}
	}
	if t.CertFile == "" {
		return nil
	}
	if _, err := os.ReadFile(t.KeyFile); err != nil {
		return unusable("tls.key_file", err)
	}
	_, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	return unusable("tls.cert_file", err)
}

// unusable says which setting names a file that cannot be used.
func unusable(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: mq.%s cannot be used: %w", relay.ErrMisconfigured, key, err)
}

// explainConnect says why a connection failed, and what to do about it.
func explainConnect(err error, where string, d *dialer) error {
	switch {
	case errors.Is(err, relay.ErrMisconfigured):
		return err
	case isEncryption(err):
		return fmt.Errorf("%w: no encrypted connection to NATS at %s: %w; check the certificates of mq.tls", relay.ErrMisconfigured, where, err)
	case isSignIn(err):
		return fmt.Errorf("%w: NATS at %s refused the credentials: %w; check mq.user, mq.password, mq.token, mq.nkey_file and "+
			"mq.creds_file, and what mq.nats_url holds", relay.ErrMisconfigured, where, err)
	case errors.Is(err, nats.ErrNoServers) && d.lastError() != nil:
		err = d.lastError()
	}
	return fmt.Errorf("%w: no NATS server answers at %s: %w; is the server up, and is mq.nats_url right?",
		relay.ErrUnavailable, where, err)
}

package redisstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// used tells whether connections are encrypted.
func (t TLS) used() bool { return t != (TLS{}) }

// client returns the settings for a connection to an address. It reads the files.
func (t TLS) client(address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		cfg.RootCAs, err = readPool(t.CAFile)
		if err != nil {
			return nil, unusable("tls.ca_file", err)
		}
	}
	if t.CertFile == "" {
		return cfg, nil
	}
	if _, err := os.ReadFile(t.KeyFile); err != nil {
		return nil, unusable("tls.key_file", err)
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, unusable("tls.cert_file", err)
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// unusable says which setting names a file that cannot be used.
func unusable(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: redis.%s cannot be used: %w", relay.ErrMisconfigured, key, err)
}

// isEncryption tells whether client and server could not agree on encryption, or on each other's certificates. A handshake that
// was cut off is not that: the server may have died.
func isEncryption(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) || errors.As(err, new(tls.RecordHeaderError)) ||
		strings.Contains(err.Error(), "remote error: tls:") // a server's alert has no exported type
}

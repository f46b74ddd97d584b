package jetstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.file = write(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// issue returns the paths of a certificate and its key. A name that is no address is a DNS name.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	private := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	require.NoError(a.t, err)
	raw, err := x509.MarshalECPrivateKey(private)
	require.NoError(a.t, err)
	return write(a.t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		write(a.t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("127.0.0.1")
	s := startServer(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key))
	cfg := configFor(t, s.url())
	requireRefused(t, cfg, "certificate", "mq.tls")
	cfg.TLS.CAFile = newAuthority(t).file
	requireRefused(t, cfg, "certificate", "mq.tls")
	cfg.TLS.CAFile = ca.file
	requireWorks(t, cfg)
	cfg.NATSURL = strings.Replace(s.url(), "nats://", "tls://", 1)
	requireWorks(t, cfg)
	cfg.TLS.CAFile = "/nowhere/ca.pem"
	requireRefused(t, cfg, "mq.tls.ca_file", "/nowhere/ca.pem")
	cfg.TLS.CAFile = write(t, "garbage.pem", []byte("no certificate"))
	requireRefused(t, cfg, "mq.tls")
}

func TestTLSServerName(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("nats.internal")
	s := startServer(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key))
	cfg := configFor(t, s.url())
	cfg.TLS.CAFile = ca.file
	requireRefused(t, cfg, "certificate", "mq.tls")
	cfg.TLS.ServerName = "nats.internal"
	requireWorks(t, cfg)
}

func TestTLSClientCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("127.0.0.1")
	s := startServer(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, ca.file))
	cfg := configFor(t, s.url())
	cfg.TLS.CAFile = ca.file
	requireRefused(t, cfg, "certificate", "mq.tls")
	cfg.TLS.CertFile, cfg.TLS.KeyFile = newAuthority(t).issue("relay")
	requireRefused(t, cfg, "certificate", "mq.tls")
	cfg.TLS.CertFile, cfg.TLS.KeyFile = ca.issue("relay")
	requireWorks(t, cfg)
	cfg.TLS.KeyFile = "/nowhere/key.pem"
	requireRefused(t, cfg, "mq.tls.key_file")
}

func TestTLSThatTheServerDoesNotHave(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, shared(t).url())
	cfg.TLS.CAFile = newAuthority(t).file
	requireRefused(t, cfg, "mq.tls")
}

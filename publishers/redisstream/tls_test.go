package redisstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text []byte
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.file = write(t, "ca.pem", a.text)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// issue returns a certificate and its key. A name that is no address is a DNS name.
func (a *authority) issue(name string) (cert, key []byte) {
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
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// startTLS starts a server with a certificate for a name. It wants one of the client where clients is "yes".
func startTLS(t *testing.T, ca *authority, name, clients string) *harness.Server {
	t.Helper()
	cert, key := ca.issue(name)
	return harness.StartRedis(t, harness.RedisOptions{
		TLS:   true,
		Files: map[string][]byte{"/tls/ca.pem": ca.text, "/tls/cert.pem": cert, "/tls/key.pem": key},
		Args: []string{
			"--port", "0", "--tls-port", "6379", "--tls-ca-cert-file", "/tls/ca.pem", "--tls-cert-file", "/tls/cert.pem",
			"--tls-key-file", "/tls/key.pem", "--tls-auth-clients", clients,
		},
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := startTLS(t, ca, "127.0.0.1", "no")
	cfg := configFor(t, s.URL)
	requireRefused(t, cfg, "unavailable", "redis.host", "redis.tls.enabled")
	cfg.TLS.Enabled = true
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls")
	cfg.TLS.CAFile = newAuthority(t).file
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls")
	cfg.TLS.CAFile = ca.file
	requireWorks(t, cfg)
	cfg.TLS.Enabled = false // a file says so too
	requireWorks(t, cfg)
	cfg.TLS.CAFile = "/nowhere/ca.pem"
	requireRefused(t, cfg, "misconfigured", "redis.tls.ca_file", "/nowhere/ca.pem")
	cfg.TLS.CAFile = write(t, "garbage.pem", []byte("no certificate"))
	requireRefused(t, cfg, "misconfigured", "redis.tls.ca_file")
}

func TestTLSServerName(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := startTLS(t, ca, "redis.internal", "no")
	cfg := configFor(t, s.URL)
	cfg.TLS.CAFile = ca.file
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls")
	cfg.TLS.ServerName = "redis.internal"
	requireWorks(t, cfg)
}

func TestTLSClientCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	s := startTLS(t, ca, "127.0.0.1", "yes")
	cfg := configFor(t, s.URL)
	cfg.TLS.CAFile = ca.file
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls")
	issue := func(a *authority) {
		cert, key := a.issue("relay")
		cfg.TLS.CertFile, cfg.TLS.KeyFile = write(t, "cert.pem", cert), write(t, "key.pem", key)
	}
	issue(newAuthority(t))
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls")
	issue(ca)
	requireWorks(t, cfg)
	cfg.TLS.KeyFile = "/nowhere/key.pem"
	requireRefused(t, cfg, "misconfigured", "redis.tls.key_file")
	cfg.TLS.KeyFile = cfg.TLS.CertFile
	requireRefused(t, cfg, "misconfigured", "redis.tls.cert_file")
}

func TestTLSThatTheServerDoesNotHave(t *testing.T) {
	t.Parallel()
	cfg := configFor(t, harness.Redis(t))
	cfg.TLS.Enabled = true
	p, _ := newPublisher(t, cfg)
	require.Contains(t, []string{"misconfigured", "unavailable"}, kind(p.Connect(t.Context())), "it depends on how the server hangs up")
}

// TestTLSHoldsBackWhatWaits lets the lead end while a write waits for a server that reads nothing.
func TestTLSHoldsBackWhatWaits(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	pair, err := tls.X509KeyPair(ca.issue("127.0.0.1"))
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	accepted := make(chan net.Conn, 1)
	go func() {
		far, err := listener.Accept()
		if assert.NoError(t, err) {
			assert.NoError(t, far.(*tls.Conn).HandshakeContext(t.Context()))
		}
		accepted <- far
	}()
	d := &dialer{timeout: 10 * time.Second, tls: TLS{CAFile: ca.file}, ctx: t.Context()}
	near, err := d.dial(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	far := <-accepted
	require.NotNil(t, far)

	ctx, end := context.WithCancel(t.Context())
	d.begin(ctx)
	const much = 64 << 20 // more than the system buffers
	sent := make(chan int, 1)
	go func() {
		n, _ := near.Write(make([]byte, much))
		_ = near.Close() // it is broken, or has done what it must not
		sent <- n
	}()
	_, err = io.ReadFull(far, make([]byte, 1))
	require.NoError(t, err)
	end()
	received, _ := io.Copy(io.Discard, far) // ends with the connection
	require.Less(t, <-sent, much)
	require.Less(t, received, int64(much-1))
	_ = far.Close() // it is broken
}

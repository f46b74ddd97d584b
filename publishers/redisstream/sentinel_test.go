package redisstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// startSentinel starts a Sentinel with lines added to its configuration.
func startSentinel(t *testing.T, lines string, files map[string][]byte, encrypted bool) *harness.Server {
	t.Helper()
	const path = "/data/sentinel.conf"
	all := map[string][]byte{path: []byte("sentinel resolve-hostnames no\n" + lines)}
	maps.Copy(all, files)
	return harness.StartRedis(t, harness.RedisOptions{Plain: true, Args: []string{path, "--sentinel"}, Files: all, TLS: encrypted})
}

// The Sentinel and the primary have users of their own. A password that is wrong at either is a mistake, not an outage.
func TestSentinelWithCredentials(t *testing.T) {
	t.Parallel()
	primary := start(t, "8.0", "--requirepass", "hunter2")
	sentinel := startSentinel(t, "port 6379\nuser default off\nuser relay on >hunter3 +hello +auth +ping +client +subscribe +sentinel allchannels\n"+
		"user admin on >hunter4 allchannels +@all\n", nil, false)
	s := redis.NewSentinelClient(&redis.Options{Addr: withoutScheme(sentinel.URL), Username: "admin", Password: "hunter4"})
	defer s.Close()
	require.NoError(t, s.Monitor(t.Context(), "game", address(primary), "6379", "1").Err())
	require.NoError(t, s.Set(t.Context(), "game", "auth-pass", "hunter2").Err())

	cfg := configFor(t, primary.URL)
	cfg.Addresses, cfg.Sentinel.MasterName = []string{withoutScheme(sentinel.URL)}, "game"
	cfg.Password = "hunter2"
	requireRefused(t, cfg, "misconfigured", "redis.sentinel.password")
	cfg.Sentinel.Username, cfg.Sentinel.Password = "relay", "hunter5"
	requireRefused(t, cfg, "misconfigured", "redis.sentinel.password")
	cfg.Sentinel.Password = "hunter3"
	requireWorks(t, cfg)
	cfg.Password = "hunter5"
	requireRefused(t, cfg, "misconfigured", "redis.password")
}

// Every connection is encrypted, those to the Sentinel too, and each certificate is checked against the address that is connected to.
func TestSentinelOverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	primary := startTLS(t, ca, "redis.internal", "no")
	cert, key := ca.issue("redis.internal")
	sentinel := startSentinel(t, "port 0\ntls-port 6379\ntls-ca-cert-file /tls/ca.pem\ntls-cert-file /tls/cert.pem\n"+
		"tls-key-file /tls/key.pem\ntls-auth-clients no\ntls-replication yes\n",
		map[string][]byte{"/tls/ca.pem": ca.text, "/tls/cert.pem": cert, "/tls/key.pem": key}, true)
	at := strings.TrimPrefix(sentinel.URL, "rediss://")
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca.text))
	s := redis.NewSentinelClient(&redis.Options{Addr: at, TLSConfig: &tls.Config{RootCAs: pool, ServerName: "redis.internal"}})
	defer s.Close()
	require.NoError(t, s.Monitor(context.Background(), "game", address(primary), "6379", "1").Err())

	cfg := configFor(t, primary.URL)
	cfg.Addresses, cfg.Sentinel.MasterName = []string{at}, "game"
	requireRefused(t, cfg, "unavailable", "redis.addresses")
	cfg.TLS.CAFile = ca.file
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls") // the certificates are for a name
	cfg.TLS.ServerName = "redis.internal"
	requireWorks(t, cfg)
	cfg.TLS.CAFile = newAuthority(t).file
	requireRefused(t, cfg, "misconfigured", "certificate", "redis.tls")
}

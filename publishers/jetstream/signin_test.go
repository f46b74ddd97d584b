package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// requireWorks connects and publishes.
func requireWorks(t *testing.T, cfg Config) {
	t.Helper()
	p, _ := connect(t, cfg)
	outcomes, err := p.Publish(t.Context(), testEvents(cfg, 3, 1))
	require.NoError(t, err)
	requireStored(t, outcomes, 0, 1, 2)
}

// requireRefused checks that wrong credentials give a clear error without a secret in it, neither there nor in the log.
func requireRefused(t *testing.T, cfg Config, words ...string) {
	t.Helper()
	p, logs := newPublisher(t, cfg)
	err := p.Connect(t.Context())
	requireMisconfigured(t, err, words...)
	require.NotContains(t, err.Error(), "hunter")
	_, err = p.Publish(t.Context(), testEvents(cfg, 1, 1))
	requireMisconfigured(t, err, words...)
	for _, entry := range logs.All() {
		require.NotContains(t, fmt.Sprint(entry.Message, entry.ContextMap()), "hunter")
	}
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

func TestUserAndPassword(t *testing.T) {
	t.Parallel()
	s := startServer(t, `authorization { users: [{user: relay, password: "hunter2"}] }`)
	cfg := configFor(t, s.url())
	requireRefused(t, cfg, "credentials", "mq.user")
	cfg.User, cfg.Password = "relay", "hunter3"
	requireRefused(t, cfg, "credentials", "mq.password")
	cfg.Password = "hunter2"
	requireWorks(t, cfg)

	cfg.User, cfg.Password = "", ""
	cfg.NATSURL = strings.Replace(s.url(), "//", "//relay:hunter3@", 1)
	requireRefused(t, cfg, "credentials", "mq.nats_url")
	cfg.NATSURL = strings.Replace(s.url(), "//", "//relay:hunter2@", 1)
	requireWorks(t, cfg)
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := startServer(t, `authorization { token: "hunter2" }`)
	cfg := configFor(t, s.url())
	cfg.Token = "hunter3"
	requireRefused(t, cfg, "credentials", "mq.token")
	cfg.Token = "hunter2"
	requireWorks(t, cfg)
}

func TestNKey(t *testing.T) {
	t.Parallel()
	good, bad := newUser(t), newUser(t)
	s := startServer(t, fmt.Sprintf(`authorization { users: [{nkey: %s}] }`, public(t, good)))
	cfg := configFor(t, s.url())
	cfg.NKeyFile = write(t, "bad.nk", seed(t, bad))
	requireRefused(t, cfg, "credentials", "mq.nkey_file")
	cfg.NKeyFile = write(t, "good.nk", seed(t, good))
	requireWorks(t, cfg)
	cfg.NKeyFile = "/nowhere/relay.nk"
	requireRefused(t, cfg, "mq.nkey_file", "/nowhere/relay.nk")
	cfg.NKeyFile = write(t, "garbage.nk", []byte("hunter2"))
	requireRefused(t, cfg, "mq.nkey_file")
}

func newUser(t *testing.T) nkeys.KeyPair {
	t.Helper()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	return pair
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	require.NoError(t, err)
	return key
}

func seed(t *testing.T, pair nkeys.KeyPair) []byte {
	t.Helper()
	seed, err := pair.Seed()
	require.NoError(t, err)
	return seed
}

func TestCredsFile(t *testing.T) {
	t.Parallel()
	operator, err := nkeys.CreateOperator()
	require.NoError(t, err)
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	s := startServer(t, jwtServer(t, operator, account))
	cfg := configFor(t, s.url())
	cfg.CredsFile = write(t, "good.creds", creds(t, account))
	requireWorks(t, cfg)
	other, err := nkeys.CreateAccount()
	require.NoError(t, err)
	cfg.CredsFile = write(t, "bad.creds", creds(t, other))
	requireRefused(t, cfg, "credentials", "mq.creds_file")
	cfg.CredsFile = "/nowhere/relay.creds"
	requireRefused(t, cfg, "mq.creds_file", "/nowhere/relay.creds")
}

// jwtServer is the configuration of a server in operator mode with one account that may use JetStream.
func jwtServer(t *testing.T, operator, account nkeys.KeyPair) string {
	t.Helper()
	systemPair, err := nkeys.CreateAccount()
	require.NoError(t, err)
	system := jwt.NewAccountClaims(public(t, systemPair))
	user := jwt.NewAccountClaims(public(t, account))
	user.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	top := jwt.NewOperatorClaims(public(t, operator))
	top.SystemAccount = system.Subject
	encode := func(claims jwt.Claims) string {
		text, err := claims.Encode(operator)
		require.NoError(t, err)
		return text
	}
	return fmt.Sprintf("operator: %q\nresolver: MEMORY\nsystem_account: %s\nresolver_preload: {\n%s: %q\n%s: %q\n}\n",
		encode(top), system.Subject, system.Subject, encode(system), user.Subject, encode(user))
}

func creds(t *testing.T, account nkeys.KeyPair) []byte {
	t.Helper()
	pair := newUser(t)
	token, err := jwt.NewUserClaims(public(t, pair)).Encode(account)
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(token, seed(t, pair))
	require.NoError(t, err)
	return text
}

package redisstream

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// secret is one that is rotated. Empty means that it cannot be read.
type secret struct{ atomic.Pointer[string] }

func (s *secret) set(text string) { s.Store(&text) }

func (s *secret) read() (string, error) {
	if text := *s.Load(); text != "" {
		return text, nil
	}
	return "", errors.New("/run/secrets/redis cannot be read")
}

// requireRotates changes a password of a server while the publisher runs, and cuts all connections. change gives the server the new one.
func requireRotates(t *testing.T, p *Publisher, s *secret, change func(password string)) {
	t.Helper()
	publish(t, p, testEvents(3, 1))
	s.set("hunter3")
	change("hunter3")
	require.Eventually(t, func() bool { return p.Connect(t.Context()) == nil }, patience, tick)
	publish(t, p, testEvents(3, 1))

	s.set("")
	change("hunter4")
	require.Eventually(t, func() bool { return p.Connect(t.Context()) != nil }, patience, tick)
	require.Eventually(t, func() bool {
		err := p.Connect(t.Context())
		return kind(err) == "misconfigured" && contains(err.Error(), "/run/secrets/redis cannot be read")
	}, patience, tick)
	s.set("hunter4")
	require.Eventually(t, func() bool { return p.Connect(t.Context()) == nil }, patience, tick)
	publish(t, p, testEvents(3, 1))
}

func TestPasswordIsRotated(t *testing.T) {
	t.Parallel()
	server := start(t, "8.0", "--requirepass", "hunter2")
	cfg := configFor(t, server.URL)
	var password secret
	password.set("hunter2")
	cfg.Password = "hunter2"
	c := admin(t, cfg)
	cfg.Reread = func() (now Config, err error) {
		now.Password, err = password.read()
		return now, err
	}
	p, _ := connect(t, cfg)
	requireRotates(t, p, &password, func(to string) {
		require.NoError(t, c.ConfigSet(t.Context(), "requirepass", to).Err())
		require.NoError(t, c.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
	})
}

func TestPasswordOfSentinelsIsRotated(t *testing.T) {
	t.Parallel()
	primary := start(t, "8.0", "--requirepass", "hunter2")
	sentinel := startSentinel(t, "port 6379\nuser default off\nuser relay on >hunter2 +hello +auth +ping +client +subscribe +sentinel allchannels\n"+
		"user admin on >hunter9 allchannels +@all\n", nil, false)
	at := &redis.Options{Addr: withoutScheme(sentinel.URL), Username: "admin", Password: "hunter9"}
	s := redis.NewSentinelClient(at)
	defer s.Close()
	require.NoError(t, s.Monitor(t.Context(), "game", address(primary), "6379", "1").Err())
	require.NoError(t, s.Set(t.Context(), "game", "auth-pass", "hunter2").Err())
	c := redis.NewClient(at)
	defer c.Close()

	cfg := configFor(t, primary.URL)
	cfg.Addresses, cfg.Sentinel.MasterName = []string{withoutScheme(sentinel.URL)}, "game"
	cfg.Password = "hunter2"
	of := admin(t, configFor(t, primary.URL))
	of.Options().Password = "hunter2"
	cfg.Sentinel.Username, cfg.Sentinel.Password = "relay", "hunter2"
	var password secret
	password.set("hunter2")
	cfg.Reread = func() (now Config, err error) {
		now.Password = "hunter2"
		now.Sentinel.Password, err = password.read()
		return now, err
	}
	p, _ := connect(t, cfg)
	requireRotates(t, p, &password, func(to string) {
		require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "relay", "resetpass", ">"+to).Err())
		require.NoError(t, c.ClientKillByFilter(t.Context(), "USER", "relay").Err())
		require.NoError(t, of.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
	})
}

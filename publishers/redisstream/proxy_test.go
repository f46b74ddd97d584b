package redisstream

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

// startProxy returns settings for a proxy before a server that answers COMMAND by itself.
func startProxy(t *testing.T, cfg Config, answer string) Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	server := cfg.addresses()[0]
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go proxy(client, server, answer)
		}
	}()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	cfg.Host = host
	cfg.Port, err = strconv.Atoi(port)
	require.NoError(t, err)
	return cfg
}

func proxy(client net.Conn, address, answer string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(client, server)
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		to, text := server, buf[:n]
		if bytes.HasPrefix(bytes.ToUpper(text), []byte("*3\r\n$7\r\nCOMMAND\r\n")) {
			to, text = client, []byte(answer)
		}
		if _, err := to.Write(text); err != nil {
			return
		}
	}
}

// Servers and proxies refuse COMMAND in many words. Where it is refused, the script does without
// what it would tell.
func TestCommandIsRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"unknown":         "-ERR unknown command 'COMMAND', with args beginning with: 'INFO' 'XCFGSET'\r\n",
		"unsupported":     "-unsupported command\r\n",
		"by twemproxy":    "-ERR unsupported command 'COMMAND'\r\n",
		"no permission":   "-NOPERM User relay has no permissions to run the 'command|info' command\r\n",
		"nothing":         "$-1\r\n",
		"something else":  "+OK\r\n",
		"an empty answer": "*0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := startProxy(t, configFor(t, harness.Redis(t)), answer)
			p, _ := connect(t, cfg)
			require.Equal(t, hashMode.name, p.session.server.Load().mode.name)
			requireWorks(t, cfg)
		})
	}
	for answer, kind := range map[string]string{
		"-NOAUTH Authentication required.\r\n":                               "misconfigured",
		"-LOADING Redis is loading the dataset in memory\r\n":                "unavailable",
		"-WRONGPASS invalid username-password pair or user is disabled.\r\n": "misconfigured",
	} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			requireRefused(t, startProxy(t, configFor(t, harness.Redis(t)), answer), kind)
		})
	}
}

// So it is where the rights of an ACL user leave COMMAND out.
func TestRightsWithoutCommand(t *testing.T) {
	t.Parallel()
	s := start(t, "8.6")
	cfg := configFor(t, s.URL)
	cfg.Username, cfg.Password = "relay", "hunter2"
	require.NoError(t, admin(t, configFor(t, s.URL)).Do(t.Context(),
		"ACL", "SETUSER", "relay", "on", ">hunter2", "allkeys", "+@all", "-command", "-command|info").Err())
	requireWorks(t, cfg)
}

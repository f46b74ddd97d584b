package redisstream

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// readAll reads bytes in pieces and returns the first error.
func readAll(b []byte, piece int) error {
	var f frames
	for ; len(b) > 0; b = b[min(piece, len(b)):] {
		if err := f.read(b[:min(piece, len(b))]); err != nil {
			return err
		}
	}
	return nil
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"+OK\r\n:1\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n$5\r\na\r\nbc\r\n-ERR x\r\n":                nil,
		"*2\r\n*1\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n+OK\r\n":                                     nil,
		"%1\r\n+a\r\n:1\r\n_\r\n#t\r\n,1.5\r\n(12\r\n~1\r\n+a\r\n>1\r\n+a\r\n=7\r\ntxt:abc\r\n": nil,
		strings.Repeat("*1\r\n", 8) + "+a\r\n" + strings.Repeat("*1\r\n", 8) + "+a\r\n":         nil,
		strings.Repeat("*1\r\n", 9):              errAnswerTooLarge,
		"$67108865\r\n":                          errAnswerTooLarge,
		"$99999999999999999999\r\n":              errAnswerTooLarge,
		"*2000000000\r\n":                        errAnswerTooLarge,
		"%1048577\r\n":                           errAnswerTooLarge,
		"+" + strings.Repeat("x", maxLine):       errAnswerTooLarge,
		"$" + strings.Repeat("1", maxLine):       errAnswerTooLarge,
		"$x\r\n":                                 errNoRedis,
		"HTTP/1.1 400 Bad Request\r\n":           errNoRedis,
		"\r\n":                                   errNoRedis,
		"\x15\x03\x01\x00\x02\x02\x46":           errEncrypted,
		"*2\r\n$1\r\na\r\n" + "\x15\x03\x01\x00": errEncrypted,
	} {
		for _, piece := range []int{1, 3, 1 << 20} {
			require.ErrorIs(t, readAll([]byte(text), piece), want, "%.40q in pieces of %d", text, piece)
		}
	}
	var f frames
	require.NoError(t, f.read([]byte("$60000000\r\n")))
	var err error
	for range maxAnswer >> 20 {
		f.skip = 1 << 30
		err = f.read(make([]byte, 1<<20))
	}
	require.ErrorIs(t, err, errAnswerTooLarge)
	f.begin()
	require.NoError(t, f.read(make([]byte, 1<<20)))
}

// answering is a server that answers everything with the same bytes, for as long as they are taken.
func answering(t *testing.T, answer string, forever bool) Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		b := make([]byte, 4096)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			for sent := false; !sent || forever; sent = true {
				if _, err := io.WriteString(c, answer); err != nil {
					return
				}
			}
		}
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	cfg := DefaultConfig()
	address := listener.Addr().(*net.TCPAddr)
	cfg.Host, cfg.Port, cfg.Password = address.IP.String(), address.Port, "hunter2hunter2"
	cfg.ConnectTimeout, cfg.PublishTimeout = 2*time.Second, 2*time.Second
	return cfg
}

// TestAServerCannotExhaustMemory tries answers that announce more than there is, and ones that
// never end.
func TestAServerCannotExhaustMemory(t *testing.T) {
	for name, tc := range map[string]struct {
		answer  string
		forever bool
	}{
		"a length":          {"$2000000000\r\n", false},
		"a list":            {"*200000000\r\n", false},
		"a line":            {strings.Repeat("x", 1<<20), true},
		"an error":          {"-ERR " + strings.Repeat("x", 1<<20), true},
		"lists in lists":    {strings.Repeat("*1\r\n", 1<<18), true},
		"something else":    {"HTTP/1.1 400 Bad Request\r\n\r\n", false},
		"many small things": {"*1000000\r\n" + strings.Repeat("$1\r\na\r\n", 1<<17), true},
	} {
		t.Run(name, func(t *testing.T) { // not beside others: it measures memory
			cfg := answering(t, tc.answer, tc.forever)
			p, err := New(cfg, zap.NewNop())
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close(context.Background())) }()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = p.Connect(t.Context())
			runtime.ReadMemStats(&after)
			require.Contains(t, []string{"unavailable", "misconfigured"}, kind(err), "%v", err)
			require.Less(t, len(err.Error()), 1000)
			require.Less(t, after.Sys-min(after.Sys, before.Sys), uint64(600<<20))
			if !strings.HasPrefix(name, "many") {
				require.Less(t, after.Sys-min(after.Sys, before.Sys), uint64(100<<20), "of what is refused at once nothing is kept")
			}
		})
	}
}

func TestAPasswordThatTheServerRepeatsIsHidden(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"-ERR unknown command 'AUTH', with args beginning with: 'hunter2hunter2' \r\n", "-WRONGPASS hunter2hunter2 is wrong\r\n",
	} {
		requireRefused(t, answering(t, answer, false), "misconfigured")
	}
}

func TestMistakesOfEncryptionAreNamed(t *testing.T) {
	t.Parallel()
	cfg := answering(t, "-ERR unknown command\r\n", false) // a server without TLS that answers
	cfg.TLS.Enabled = true
	requireRefused(t, cfg, "misconfigured", "the server does not speak TLS", "redis.tls.enabled")
	requireRefused(t, answering(t, "\x15\x03\x01\x00\x02\x02\x46", false), "misconfigured", "the server speaks TLS", "redis.tls.enabled")

	silent := answering(t, "", false)
	silent.TLS.Enabled, silent.ConnectTimeout = true, 200*time.Millisecond
	requireRefused(t, silent, "unavailable", "did not answer the TLS handshake")
}

// FuzzFrames looks for bytes after which more may be announced than is allowed, and that mean
// something else when they arrive in pieces.
func FuzzFrames(f *testing.F) {
	for _, text := range []string{
		"+OK\r\n", "$5\r\nhello\r\n", "*2\r\n:1\r\n$-1\r\n", "*1\r\n*1\r\n+a\r\n", "-ERR x\r\n", "$2000000000\r\n", "%1\r\n+a\r\n:1\r\n", "\x15\x03\x01",
	} {
		f.Add([]byte(text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		whole, parts := readAll(b, len(b)+1), readAll(b, int(piece)+1)
		require.Equal(t, whole == nil, parts == nil, "how it arrives changes nothing")
		var framed frames
		if err := framed.read(b); err != nil {
			return
		}
		assert.LessOrEqual(t, len(framed.nested), maxNested)
		assert.LessOrEqual(t, framed.skip, maxBulk+2)
		assert.LessOrEqual(t, len(framed.line), maxLine)
	})
}

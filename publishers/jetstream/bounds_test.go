package jetstream

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeServer speaks as much of the protocol as a client needs to connect, and then what a test
// wants. It counts the most bytes that it got rid of on one connection.
type fakeServer struct {
	listener net.Listener
	most     atomic.Int64
}

const fakeInfo = `INFO {"server_id":"X","version":"2.15.0","max_payload":1048576,"headers":true}` + "\r\n"

// startFake starts a server that says greeting, answers the client's first PING, and then repeats
// flood until the client has enough.
func startFake(t *testing.T, greeting, flood string) *fakeServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fakeServer{listener: listener}
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(conn, greeting, flood)
		}
	}()
	return f
}

func (f *fakeServer) url() string { return "nats://" + f.listener.Addr().String() }

func (f *fakeServer) serve(conn net.Conn, greeting, flood string) {
	defer conn.Close()
	sent, _ := conn.Write([]byte(greeting))
	if strings.HasSuffix(greeting, "\n") {
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if lines.Text() == "PING" {
				_, _ = conn.Write([]byte("PONG\r\n"))
				break
			}
		}
	}
	for piece := []byte(flood); len(piece) > 0; {
		n, err := conn.Write(piece)
		sent += n
		for most := f.most.Load(); int64(sent) > most && !f.most.CompareAndSwap(most, int64(sent)); most = f.most.Load() {
		}
		if err != nil {
			return
		}
	}
}

// Whatever a server sends that is broken or is none: the client does not panic, takes no more than
// a bounded part of it, and the error says what it was.
func TestAServerThatSendsWithoutEnd(t *testing.T) {
	t.Parallel()
	much := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct{ greeting, flood, words string }{
		"an endless greeting":        {"INFO {\"x\":\"", much, "a line of more than 262144 bytes"},
		"an endless line":            {fakeInfo, much, "a line of more than 16384 bytes"},
		"an endless error":           {fakeInfo + "-ERR '", much, "a line of more than 16384 bytes"},
		"an endless subject":         {fakeInfo, "MSG a." + much, "a line of more than 16384 bytes"},
		"a message of 2^63-1 bytes":  {fakeInfo, "MSG a 1 9223372036854775807\r\n" + much, "a message of"},
		"a message of 2^63 bytes":    {fakeInfo, "MSG a 1 9223372036854775808\r\n" + much, "a message of"},
		"a message of 1 TiB":         {fakeInfo, "HMSG a 1 b 12 1099511627776\r\n" + much, "a message of"},
		"a message of -1 bytes":      {fakeInfo, "MSG a 1 -1\r\n" + much, "a message of"},
		"a message without a number": {fakeInfo, "MSG a 1 many\r\n" + much, "a message of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, test.greeting, test.flood)
			cfg := configFor(t, f.url())
			cfg.ConnectTimeout = patience
			p, logs := newPublisher(t, cfg)
			go func() { _ = p.Connect(t.Context()) }()
			require.Eventually(t, func() bool {
				for _, line := range logs.All() {
					if strings.Contains(fmt.Sprint(line.ContextMap()), test.words) {
						return true
					}
				}
				return false
			}, patience, 10*time.Millisecond, "no line says %q", test.words)
			require.Less(t, f.most.Load(), int64(16<<20), "the rest stays with the server")
		})
	}
}

// Unread answers to events do not pile up.
func TestAnswersThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	const inbox = "_INBOX.x"
	space := &answerSpace{}
	prefix := inbox
	space.inbox.Store(&prefix)
	b := &bounded{answerSpace: space}
	message := func(subject string, size int) []byte {
		return fmt.Appendf(nil, "MSG %s 1 %d\r\n%s\r\n", subject, size, strings.Repeat("y", size))
	}
	for range 100 {
		require.NoError(t, b.follow(message("other", 1<<20)))
	}
	for range maxUnread >> 20 {
		require.NoError(t, b.follow(message(inbox+".a", 1<<20)))
	}
	require.ErrorContains(t, b.follow(message(inbox+".a", 1<<20)), "wait to be read")
}

// The same bytes are followed however they are cut into pieces.
func FuzzFollow(f *testing.F) {
	f.Add([]byte(fakeInfo+"PONG\r\nMSG a 1 3\r\nabc\r\nHMSG a 1 b 12 13\r\nNATS/1.0\r\n\r\nx\r\n+OK\r\n"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		whole, pieces := &bounded{answerSpace: &answerSpace{}}, &bounded{answerSpace: &answerSpace{}}
		want := whole.follow(text)
		var got error
		for rest := text; len(rest) > 0 && got == nil; {
			n := min(max(1, cut), len(rest))
			got = pieces.follow(rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, want == nil, got == nil)
		if want == nil {
			require.Equal(t, whole.skip, pieces.skip)
			require.Equal(t, string(whole.line), string(pieces.line))
		}
	})
}

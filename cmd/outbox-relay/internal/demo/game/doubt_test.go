package game

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tunnel passes bytes between the game and Postgres. While armed, it cuts the connection at the next COMMIT, after the server has
// answered it and before the game hears of it.
type tunnel struct {
	t      *testing.T
	server string
	armed  atomic.Bool
	conns  sync.WaitGroup
}

// dig starts a tunnel and returns it with the URL that leads through it.
func dig(t *testing.T, direct string) (*tunnel, string) {
	t.Helper()
	u, err := url.Parse(direct)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	tun := &tunnel{t: t, server: u.Host}
	u.Host = listener.Addr().String()
	tun.conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			tun.conns.Go(func() { tun.serve(client) })
		}
	})
	t.Cleanup(func() { assert.NoError(t, listener.Close()); tun.conns.Wait() })
	return tun, u.String()
}

func (tun *tunnel) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", tun.server)
	if !assert.NoError(tun.t, err) {
		return
	}
	defer server.Close()
	var cut atomic.Bool // the next answer is kept from the client
	tun.conns.Go(func() {
		defer client.Close()
		pass(client, server, func([]byte) bool { return !cut.Load() })
	})
	pass(server, client, func(sent []byte) bool {
		if bytes.Contains(sent, []byte("commit\x00")) && tun.armed.Swap(false) {
			cut.Store(true)
		}
		return true
	})
}

// pass copies what arrives while may allows it.
func pass(to io.Writer, from io.Reader, may func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !may(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestACommitWhoseAnswerWasLostIsFoundInTheDatabase(t *testing.T) {
	t.Parallel()
	direct := database(t)
	tun, through := dig(t, direct)
	l := newLedger(1, func() {})
	g := newGame(t, through, l)

	tun.armed.Store(true)
	require.NoError(t, g.play(t.Context(), turn{move: trade, ids: []int{7, 3}}))
	assert.False(t, tun.armed.Load(), "the connection was cut")
	assert.Empty(t, l.committed)
	assert.Len(t, l.doubt, 2)
	assert.Equal(t, l.doubt, l.found)
	assert.Len(t, outboxOf(t, direct), 2)
}

func TestACommitThatTheDatabaseRefusedIsFoundRolledBack(t *testing.T) {
	t.Parallel()
	url := database(t)
	l := newLedger(1, func() {})
	g := newGame(t, url, l)
	execute(t, url, `
		create function demo_game.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
		create constraint trigger refuse after insert on demo_game.history deferrable initially deferred
			for each row execute function demo_game.refuse()`)

	require.ErrorContains(t, g.play(t.Context(), turn{move: levelUp, ids: []int{7}}), "commit: ")
	assert.Len(t, l.doubt, 1)
	assert.Equal(t, l.doubt, l.rolledBack)
	assert.Empty(t, l.committed)
	assert.Empty(t, l.found)
	assert.Empty(t, outboxOf(t, url))
}

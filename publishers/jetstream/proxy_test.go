package jetstream

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// proxy stands between a publisher and its server, and can stop to move bytes, as a frozen server
// or a dead network does.
type proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	frozen chan struct{} // closed while bytes move
	conns  []net.Conn
	holds  int // pieces that wait for the thaw
	delay  time.Duration
	copies sync.WaitGroup
}

func startProxy(t *testing.T, s *testServer) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: strings.TrimPrefix(s.url(), "nats://"), frozen: make(chan struct{})}
	close(p.frozen)
	p.copies.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.copies.Go(func() { p.move(server, client) })
		p.copies.Go(func() { p.move(client, server) })
	}
}

func (p *proxy) move(to, from net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.await()
		if _, writeErr := to.Write(buf[:n]); err != nil || writeErr != nil {
			_, _ = to.Close(), from.Close()
			return
		}
	}
}

// await waits until bytes move.
func (p *proxy) await() {
	p.mu.Lock()
	frozen := p.frozen
	p.holds++
	delay := p.delay
	p.mu.Unlock()
	<-time.After(delay)
	<-frozen
	p.mu.Lock()
	p.holds--
	p.mu.Unlock()
}

// held is how many pieces wait for the thaw.
func (p *proxy) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds
}

// cut breaks every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

// slow delays every piece.
func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.frozen:
	default:
		close(p.frozen)
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.thaw()
	p.cut()
	p.copies.Wait()
}

// A hot key over a slow way is published in several calls, each of bounded length: a longer one would be taken for a
// loop that stands still.
func TestACallOfOneKeyIsBounded(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	way := startProxy(t, s)
	cfg := keyedOnly(t, s, configFor(t, way.url()))
	cfg.PublishTimeout = 200 * time.Millisecond
	p, _ := connect(t, cfg)
	way.slow(10 * time.Millisecond)
	events := testEvents(cfg, 250, 1)
	left, calls := events, 0
	for ; len(left) > 0; calls++ {
		began := time.Now()
		outcomes, err := p.Publish(t.Context(), left)
		require.Less(t, time.Since(began), 10*cfg.PublishTimeout)
		if err != nil {
			require.ErrorIs(t, err, relay.ErrNotSent)
		}
		require.True(t, outcomes[0].Stored)
		for len(outcomes) > 0 && outcomes[0].Stored {
			outcomes, left = outcomes[1:], left[1:]
		}
		require.Equal(t, make([]relay.Outcome, len(outcomes)), outcomes)
	}
	require.Greater(t, calls, 1)
	require.Equal(t, ids(events), storedIDs(t, s.admin(), cfg.StreamName))
}

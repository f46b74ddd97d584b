package harness

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a server and breaks the network between them. It begins as a good network. Its methods may
// be called at any time, by any goroutine, and hold for open connections as well as for new ones.
type Proxy struct {
	// URL is the server's URL with the proxy's address in it.
	URL string

	upstream string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	refuse bool
	delay  time.Duration
	open   chan struct{} // closed while bytes may pass
	links  map[*link]struct{}
	closed bool
}

// StartProxy starts a proxy in front of the server at the URL, such as [Server].URL or [Database].URL. It is closed
// when the test ends.
func StartProxy(tb testing.TB, upstream string) *Proxy {
	tb.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		tb.Fatalf("proxy: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("proxy: %v", err)
	}
	p := &Proxy{upstream: u.Host, listener: listener, open: make(chan struct{}), links: make(map[*link]struct{})}
	close(p.open)
	u.Host = listener.Addr().String()
	p.URL = u.String()
	p.running.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Cut breaks all connections and breaks every new one at once, until [Proxy.Restore]: a server or a route that is gone.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
	p.breakAll()
}

// Blackhole keeps connections open, accepts new ones, and lets no byte through in either direction, until [Proxy.Restore]: a
// network that swallows packets. What was sent in the meantime arrives after Restore, as it does with TCP.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passes() {
		p.open = make(chan struct{})
	}
}

// Delay makes every byte arrive later by d, in each direction, until [Proxy.Restore].
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Restore makes the network good again.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse, p.delay = false, 0
	if !p.passes() {
		close(p.open)
	}
}

// Connections returns how many clients are connected.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) passes() bool {
	select {
	case <-p.open:
		return true
	default:
		return false
	}
}

func (p *Proxy) breakAll() {
	for l := range p.links {
		l.abort()
	}
}

// close ends the proxy and waits for its goroutines.
func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.breakAll()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	l := &link{proxy: p, client: client, done: make(chan struct{})}
	if !p.add(l) {
		l.abort()
		return
	}
	defer p.forget(l)
	l.run()
}

// add registers a link, unless connections are refused.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// weather returns the delay for what is read now, and the gate that is closed while bytes may pass.
func (p *Proxy) weather() (delay time.Duration, open <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay, p.open
}

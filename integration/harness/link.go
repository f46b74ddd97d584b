package harness

import (
	"net"
	"sync"
	"time"
)

// link is one client's connection through a [Proxy]. Each direction has a reader, which notes when its bytes are due, and a
// writer, which waits until then; so a delay costs latency and not throughput.
type link struct {
	proxy  *Proxy
	client net.Conn

	mu     sync.Mutex
	server net.Conn
	ended  bool
	done   chan struct{} // closed when the link has ended
}

// chunk is what one read returned, and when it may arrive.
type chunk struct {
	bytes []byte
	due   time.Time
}

// chunksInFlight bounds the memory of a slow link; beyond it the sender feels the back-pressure.
const chunksInFlight = 256

func (l *link) run() {
	defer l.abort()
	server, err := net.DialTimeout("tcp", l.proxy.upstream, pingTimeout) //nolint:noctx // the proxy's end waits for it, briefly
	if err != nil || !l.attach(server) {
		return
	}
	var directions sync.WaitGroup
	directions.Go(func() { l.carry(server, l.client) })
	directions.Go(func() { l.carry(l.client, server) })
	directions.Wait()
}

// attach tells whether the link still lives; if not, it closes the connection to the server.
func (l *link) attach(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

// carry copies one direction until either end fails, and then ends the link.
func (l *link) carry(to, from net.Conn) {
	chunks := make(chan chunk, chunksInFlight)
	var reader sync.WaitGroup
	reader.Go(func() { l.read(from, chunks) })
	for c := range chunks {
		if !l.passes(c.due) {
			break
		}
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	l.end()
	reader.Wait()
}

func (l *link) read(from net.Conn, chunks chan<- chunk) {
	defer close(chunks)
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		delay, _ := l.proxy.weather()
		select {
		case chunks <- chunk{bytes: buffer[:n], due: time.Now().Add(delay)}:
		case <-l.done:
			return
		}
	}
}

// passes waits until a chunk may go on; it returns false when the link ends before.
func (l *link) passes(due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.done:
		return false
	}
	_, open := l.proxy.weather()
	select {
	case <-open:
		return true
	case <-l.done:
		return false
	}
}

// end closes both connections in an orderly way, once, after one side has closed its own.
func (l *link) end() { l.close(func(net.Conn) {}) }

// abort ends the link with a reset, as a broken network or a dead server does.
func (l *link) abort() { l.close(discard) }

func (l *link) close(prepare func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	close(l.done)
	for _, conn := range []net.Conn{l.client, l.server} {
		if conn != nil {
			prepare(conn)
			_ = conn.Close()
		}
	}
}

// discard makes the closing of a TCP connection a reset that drops what is unsent.
func discard(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

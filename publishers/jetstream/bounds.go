package jetstream

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// What a server may send. The client library takes lines and lengths as they come: a server that is
// broken, or is none, could make it allocate without end, or panic.
const (
	maxInfoLine = 256 << 10 // names all servers of a cluster
	maxLine     = 16 << 10  // two subjects and some numbers, or an error
	maxMessage  = 64<<20 + 64<<10
	// maxUnread bounds the answers to events that wait to be read, in bytes.
	maxUnread = 32 << 20
)

// tooMuchError says what a server sent that no server sends.
type tooMuchError struct{ text string }

func (e *tooMuchError) Error() string { return e.text }

func tooMuch(format string, args ...any) error { return &tooMuchError{fmt.Sprintf(format, args...)} }

// answerSpace counts the answers to events that wait to be read.
type answerSpace struct {
	inbox  atomic.Pointer[string] // below it they come; nil before the client has one
	unread atomic.Int64           // bytes
}

// take notes that an answer was read.
func (a *answerSpace) take(msg *nats.Msg) { a.unread.Add(-answerSize(msg)) }

// answerSize returns how many bytes the headers and the payload of a message were on the wire.
func answerSize(msg *nats.Msg) int64 { return int64(msg.Size() - len(msg.Subject) - len(msg.Reply)) }

// bounded is a connection on which what a server sends is bounded. It reads along, and ends the
// connection where a bound is exceeded. Once the client encrypts, or speaks by websockets, it sees
// nothing more: then the certificate says whose server it is.
type bounded struct {
	net.Conn
	*answerSpace

	written bool
	opaque  atomic.Bool

	line   []byte // the beginning of the line that is under way, up to maxLine
	length int    // of that line so far
	skip   int    // bytes of the message that is under way, with its line break
	broken error
}

// Write implements [net.Conn].
func (b *bounded) Write(p []byte) (int, error) {
	if !b.written && len(p) > 0 {
		b.written = true
		b.opaque.Store(p[0] != 'C') // of CONNECT
	}
	return b.Conn.Write(p)
}

// Read implements [net.Conn].
func (b *bounded) Read(p []byte) (int, error) {
	if b.broken != nil {
		return 0, b.broken
	}
	n, err := b.Conn.Read(p)
	if b.opaque.Load() {
		return n, err
	}
	if b.broken = b.follow(p[:n]); b.broken != nil {
		_ = b.Close() // the error that counts is this one
		return 0, b.broken
	}
	return n, err
}

// follow reads along.
func (b *bounded) follow(p []byte) error {
	for len(p) > 0 {
		if b.skip > 0 {
			n := min(b.skip, len(p))
			b.skip, p = b.skip-n, p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n')
		part := p[:end+1]
		if end < 0 {
			part = p
		}
		p = p[len(part):]
		b.line = append(b.line, part[:min(len(part), maxLine-len(b.line))]...)
		if b.length += len(part); b.length > b.limit() {
			return tooMuch("the server sent a line of more than %d bytes, which begins with %.40q: no NATS server does",
				b.limit(), b.line)
		}
		if end < 0 {
			continue
		}
		if err := b.message(); err != nil {
			return err
		}
		b.line, b.length = b.line[:0], 0
	}
	return nil
}

func (b *bounded) limit() int {
	if len(b.line) >= 4 && bytes.EqualFold(b.line[:4], []byte("INFO")) {
		return maxInfoLine
	}
	return maxLine
}

// message reads a line that announces a message: MSG <subject> <sid> [reply] <size>, or HMSG
// <subject> <sid> [reply] <size of the headers> <size>.
func (b *bounded) message() error {
	fields := bytes.Fields(b.line)
	if len(fields) < 4 || !bytes.EqualFold(fields[0], []byte("MSG")) && !bytes.EqualFold(fields[0], []byte("HMSG")) {
		return nil
	}
	size, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil || size < 0 || size > maxMessage {
		return tooMuch("the server announced a message of %.40q bytes, and the most are %d",
			fields[len(fields)-1], maxMessage)
	}
	b.skip = size + len("\r\n")
	if inbox := b.inbox.Load(); inbox == nil || !strings.HasPrefix(string(fields[1]), *inbox) {
		return nil
	}
	if unread := b.unread.Add(int64(size)); unread > maxUnread {
		return tooMuch("%d bytes of answers to events wait to be read, and the most are %d; look for a subscriber that "+
			"answers events with much", unread, maxUnread)
	}
	return nil
}

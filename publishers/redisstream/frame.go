package redisstream

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// The most that one answer of a server may make the client library keep in memory. The library
// trusts a server: it makes room for as many bytes or items as an answer announces, and gathers a
// line until it ends. The largest answers are pages of the stream with payloads, of a few MiB.
const (
	maxAnswer = 256 << 20 // bytes between two of our writes
	maxBulk   = 64 << 20  // bytes of one text
	maxLine   = 64 << 10  // bytes of one line: an error, a number, a length
	maxItems  = 1 << 20   // items of one list
	maxNested = 8         // lists in lists
)

var (
	errAnswerTooLarge = errors.New("the server announced or sent more than an answer may have")
	errNoRedis        = errors.New("what answers does not speak the protocol of Redis")
	errEncrypted      = errors.New("the server speaks TLS: set redis.tls.enabled to true")
)

// frames reads along with what a server sends, in the protocol of Redis (RESP), and finds what
// would take too much memory before the client library sees it. Source:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
type frames struct {
	total  int    // bytes of this answer
	line   []byte // what there is of the line that is not complete
	skip   int    // bytes of a text that follow
	nested []int  // for each open list, how many items follow
}

// begin says that another answer may follow.
func (f *frames) begin() { f.total = 0 }

// read takes the next bytes. After an error the connection is of no use.
func (f *frames) read(b []byte) error {
	if f.total += len(b); f.total > maxAnswer {
		return fmt.Errorf("%w: over %d MiB", errAnswerTooLarge, maxAnswer>>20)
	}
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			f.line = append(f.line, b...)
			b = nil
		} else {
			f.line = append(f.line, b[:end+1]...)
			b = b[end+1:]
		}
		if err := f.check(); err != nil || end < 0 {
			return err
		}
		if err := f.take(string(bytes.TrimRight(f.line, "\r\n"))); err != nil {
			return err
		}
		f.line = f.line[:0]
	}
	return nil
}

// check looks at a line that may not be complete.
func (f *frames) check() error {
	switch {
	case len(f.line) > maxLine:
		return fmt.Errorf("%w: a line of over %d KiB", errAnswerTooLarge, maxLine>>10)
	case f.line[0] == 0x15, f.line[0] == 0x16: // records of TLS: an alert, a handshake
		return errEncrypted
	case !bytes.ContainsRune([]byte("+-:$*_#,(!=%~>|"), rune(f.line[0])):
		return fmt.Errorf("%w: an answer begins with %q", errNoRedis, f.line[:1])
	}
	return nil
}

// take takes a complete line.
func (f *frames) take(line string) error {
	switch line[0] {
	case '$', '!', '=':
		n, err := length(line, maxBulk)
		if err != nil {
			return err
		}
		if n >= 0 {
			f.skip = n + 2
		}
	case '*', '%', '~', '>', '|':
		n, err := length(line, maxItems)
		if err != nil {
			return err
		}
		if line[0] == '%' || line[0] == '|' {
			n *= 2
		}
		if line[0] == '|' { // attributes stand before an item, and are none
			n++
		}
		if n > 0 {
			if f.nested = append(f.nested, n); len(f.nested) > maxNested {
				return fmt.Errorf("%w: lists in over %d lists", errAnswerTooLarge, maxNested)
			}
			return nil
		}
	}
	f.item()
	return nil
}

// item notes that an item is complete, or that its text follows; and with the last one, its list.
func (f *frames) item() {
	for last := len(f.nested) - 1; last >= 0; last-- {
		if f.nested[last]--; f.nested[last] > 0 {
			return
		}
		f.nested = f.nested[:last]
	}
}

// length reads what a line announces; below 0 for nothing.
func length(line string, most int) (int, error) {
	n, err := strconv.Atoi(line[1:])
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%w: a length that is no number", errNoRedis)
	case err != nil || n > most:
		return 0, fmt.Errorf("%w: %d are allowed", errAnswerTooLarge, most)
	}
	return n, nil
}

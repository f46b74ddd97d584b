package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gameoutbox/relay/relay"
)

// digest is a SHA-256.
type digest [sha256.Size]byte

// content is what consumers get of an event, in a form of bounded size.
type content struct {
	subject, key     string
	headers, payload digest
}

// contentOf returns the content of an event as the stream holds it.
func contentOf(event relay.StoredEvent) content {
	return content{
		subject: event.Subject, key: event.Key, headers: digestHeaders(event.Headers), payload: sha256.Sum256(event.Payload),
	}
}

// differences names what is not the same, for a person; empty if everything is.
func (c content) differences(stored content) string {
	var parts []string
	if c.subject != stored.subject {
		parts = append(parts, "subject is "+strconv.Quote(stored.subject))
	}
	if c.key != stored.key {
		parts = append(parts, "key is "+strconv.Quote(stored.key))
	}
	if c.headers != stored.headers {
		parts = append(parts, "headers differ")
	}
	if c.payload != stored.payload {
		parts = append(parts, "payload differs")
	}
	return strings.Join(parts, ", ")
}

// digestHeaders returns the same for the same names and values, and the zero digest for none.
func digestHeaders(headers map[string]string) (d digest) {
	if len(headers) == 0 {
		return d
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		writeText(sum, name)
		writeText(sum, headers[name])
	}
	sum.Sum(d[:0])
	return d
}

// writeText adds a text with its length, so that no two lists of texts are hashed alike.
func writeText(sum hash.Hash, text string) {
	_, _ = sum.Write(binary.AppendUvarint(nil, uint64(len(text)))) // a hash never fails
	_, _ = sum.Write([]byte(text))
}

// digestJSON returns the digest of headers as the table holds them. What is no object of strings was never published as it is, and
// gets a digest that no message has.
func digestJSON(headers []byte) digest {
	var object map[string]string
	if len(headers) > 0 && json.Unmarshal(headers, &object) != nil {
		return sha256.Sum256(headers)
	}
	return digestHeaders(object)
}

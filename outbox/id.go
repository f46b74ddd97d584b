package outbox

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// ID identifies an event: a UUID. Consumers see it as Nats-Msg-Id, and the broker drops an event whose ID it has already seen.
// An ID converts from and to every UUID type that is an array of 16 bytes. In JSON it is a string.
type ID [16]byte

// NewID returns a random ID, a UUID of version 4.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails: see crypto/rand
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical text form of a UUID, 36 characters, in either case.
func ParseID(text string) (ID, error) {
	var id ID
	return id, id.UnmarshalText([]byte(text))
}

// String returns the canonical text form, 36 lower-case characters.
func (id ID) String() string {
	text, _ := id.AppendText(make([]byte, 0, 36)) // never fails
	return string(text)
}

// MarshalText returns the canonical text form. It never fails.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(make([]byte, 0, 36)) }

// AppendText appends the canonical text form to b. It never fails.
func (id ID) AppendText(b []byte) ([]byte, error) {
	b = hex.AppendEncode(b, id[0:4])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[4:6])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[6:8])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[8:10])
	b = append(b, '-')
	return hex.AppendEncode(b, id[10:16]), nil
}

// UnmarshalText reads what [ID.MarshalText] writes, in either case. After an error the ID is unchanged.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return badID(text)
	}
	digits := make([]byte, 0, 32)
	for _, part := range [][]byte{text[0:8], text[9:13], text[14:18], text[19:23], text[24:36]} {
		digits = append(digits, part...)
	}
	var parsed ID
	if _, err := hex.Decode(parsed[:], digits); err != nil {
		return badID(text)
	}
	*id = parsed
	return nil
}

func badID(text []byte) error {
	return fmt.Errorf("outbox: %s is not a UUID, such as 6ba7b810-9dad-41d1-80b4-00c04fd430c8", shorten(string(text)))
}

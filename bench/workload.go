package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
)

// workload is a set of events, numbered from 0. Every program gets the same: id, subject, key and payload depend on the number
// alone, and Postgres makes them by itself.
type workload struct {
	events int
	size   int // bytes of a payload
	keys   keying

	// run begins the ids, so that no event of another measurement has the same.
	run string
	// payload is the same for each event; its bytes are random, so that nothing can be compressed.
	payload []byte
}

// keying says which key an event has.
type keying struct {
	count int  // so many keys, in turn
	hot   bool // every other event has one and the same key
	// writers, if it is not 0, gives each of so many writers keys of its own, which take turns with so many events each. The order of a
	// key is that of the ids only where one transaction waits for the other, as the documentation of the outbox demands.
	writers, turn int
}

// manyKeys is what measurements use that are not about keys.
var manyKeys = keying{count: 1000}

// numberDigits is how many hexadecimal digits an id ends with: the number of its event.
const numberDigits = 12

func newWorkload(events, size int, keys keying) workload {
	w := workload{events: events, size: size, keys: keys, payload: make([]byte, size)}
	_, _ = rand.Read(w.payload) // never fails
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	w.run = fmt.Sprintf("%s-%s-4%s-8%s-", h[:8], h[8:12], h[12:15], h[15:18])
	return w
}

// keySQL is the key of event i, in SQL.
func (w workload) keySQL() string {
	key := fmt.Sprintf("(i %% %d)::text", w.keys.count)
	switch {
	case w.keys.writers > 0:
		return fmt.Sprintf("(i / %d %% %d * %d + i %% %d)::text", w.keys.turn, w.keys.writers, w.keys.count, w.keys.count)
	case w.keys.hot:
		return fmt.Sprintf("case when i %% 2 = 0 then 'hot' else %s end", key)
	}
	return key
}

// eventsSQL is a query of the events $1 to $2, for programs to insert into their own tables: i, id, subject, key, payload. $3 is the run,
// and $4 the payload.
func (w workload) eventsSQL() string {
	return fmt.Sprintf(`select i, ($3::text || lpad(to_hex(i), %d, '0'))::uuid as id, 'game.player.' || key || '.moved' as subject, key, $4::bytea as payload
		from (select i, %s as key from generate_series($1::bigint, $2::bigint) as i) as numbered order by i`, numberDigits, w.keySQL())
}

// args are the arguments of eventsSQL for so many events from first on.
func (w workload) args(first, count int) []any {
	return []any{first, first + count - 1, w.run, w.payload}
}

// key is the key of event i, as Postgres makes it, for workloads without writers of their own.
func (w workload) key(i int) string {
	if w.keys.hot && i%2 == 0 {
		return "hot"
	}
	return strconv.Itoa(i % w.keys.count)
}

// id is the id of event i, as Postgres makes it.
func (w workload) id(i int) string {
	var b [36]byte
	copy(b[:], w.run)
	for at := len(b) - 1; at >= len(w.run); at, i = at-1, i>>4 {
		b[at] = "0123456789abcdef"[i&15]
	}
	return string(b[:])
}

// number returns which event of the workload an id belongs to.
func (w workload) number(id string) (int, error) {
	if len(id) != len(w.run)+numberDigits || id[:len(w.run)] != w.run {
		return 0, fmt.Errorf("the stream holds an event of somebody else: %q", id)
	}
	i, err := strconv.ParseInt(id[len(w.run):], 16, 64)
	if err != nil || int(i) >= w.events {
		return 0, fmt.Errorf("the stream holds an event of somebody else: %q", id)
	}
	return int(i), nil
}

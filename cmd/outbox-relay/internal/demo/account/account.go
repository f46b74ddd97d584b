package account

import (
	"sync"
	"time"
)

// ID is the event id, the UUID that the event carries in the database and in the stream.
type ID [16]byte

// Event is one event as both sides know it.
type Event struct {
	ID  ID
	Key string // whose event it is; the order is kept inside a key
	Seq int64  // its place among the committed events of the key, from 1, without a hole
}

// fate is what became of the transaction that wrote an event.
type fate uint8

const (
	unknown    fate = iota // received, and the game has not said yet
	inDoubt                // the commit ended in an error
	committed              //
	rolledBack             //
)

// entry is what the account knows of one event. It is kept for the whole demo, so it is small: times are Unix nanoseconds, 0
// for "not yet".
type entry struct {
	committedAt int64
	storedAt    int64
	receivedAt  int64
	copies      uint32
	fate        fate
	disturbed   bool  // committed while the broker was away or its backlog was not drained yet
	late        bool  // received after a later event of its key
	mark        int32 // how many marks there were when it was committed, see MarkWaiting
}

// keyOrder is how far a key has come on the receiving side.
type keyOrder struct{ last int64 }

// Account is the books. All methods may be called from any goroutine. Use [New].
type Account struct {
	mu      sync.Mutex
	entries map[ID]*entry
	keys    map[string]*keyOrder
	count   counters

	disturbed bool // what Committed notes in entries

	// waiting[i] is how many events that were committed after i marks were not received yet; marks[i] is closed when
	// waiting[0] to waiting[i] are 0.
	waiting []int
	marks   []chan struct{}

	toStored, toReceived histogram
}

// counters are kept up to date with every call, so that a look at the account costs nothing however long the demo runs.
type counters struct {
	committed  int // events whose commit returned without an error, or was found in the database
	rolledBack int // events of transactions that were rolled back
	inDoubt    int
	delivered  int // committed events that were received at least once
	messages   int // everything that was received, copies included
	copies     int // received again
	late       int
	overtaken  int // places in a key that were jumped over and not filled yet
	leaked     int // rolled-back events that were received
	unreadable int
}

// New returns empty books.
func New() *Account {
	return &Account{entries: make(map[ID]*entry), keys: make(map[string]*keyOrder), waiting: make([]int, 1)}
}

// Committed notes events whose transaction was committed; at is when the commit returned. The zero time stands for a
// commit that was found out later, by asking the database: it counts in everything but the latency.
func (a *Account) Committed(at time.Time, events ...Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range events {
		en := a.settle(e.ID, committed)
		en.disturbed = a.disturbed
		if !at.IsZero() {
			en.committedAt = at.UnixNano()
		}
		a.count.committed++
		if en.copies > 0 {
			a.count.delivered++
			a.observe(en)
			continue
		}
		en.mark = int32(len(a.marks))
		a.waiting[en.mark]++
	}
}

// RolledBack notes events whose transaction was rolled back: they must never be received.
func (a *Account) RolledBack(events ...Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range events {
		en := a.settle(e.ID, rolledBack)
		a.count.rolledBack++
		if en.copies == 0 {
			continue
		}
		a.count.leaked++
		if en.late {
			en.late = false
			a.count.late--
			a.count.overtaken++
		}
	}
}

// InDoubt notes events whose commit ended in an error. [Account.Committed] or [Account.RolledBack] must follow when the
// database has said which; until then the account does not balance.
func (a *Account) InDoubt(events ...Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range events {
		a.settle(e.ID, inDoubt)
		a.count.inDoubt++
	}
}

// settle returns the entry of an event, with its fate changed to f.
func (a *Account) settle(id ID, f fate) *entry {
	en := a.entry(id)
	if en.fate == inDoubt {
		a.count.inDoubt--
	}
	en.fate = f
	return en
}

func (a *Account) entry(id ID) *entry {
	en, ok := a.entries[id]
	if !ok {
		en = &entry{}
		a.entries[id] = en
	}
	return en
}

// Received notes an event that the client of the stream got. stored is when the stream stored it, received when the client had
// it in hand.
func (a *Account) Received(e Event, stored, received time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count.messages++
	en := a.entry(e.ID)
	en.copies++
	if en.copies > 1 {
		a.count.copies++
		return
	}
	en.storedAt, en.receivedAt = stored.UnixNano(), received.UnixNano()
	switch en.fate {
	case rolledBack:
		a.count.leaked++
		return
	case committed:
		a.count.delivered++
		a.observe(en)
		a.arrived(en)
	case unknown, inDoubt:
	}
	a.order(en, e)
}

// Unreadable notes something received that no event of the game could be read from.
func (a *Account) Unreadable() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count.messages++
	a.count.unreadable++
}

// WasCommitted reports whether an event is known to be committed.
func (a *Account) WasCommitted(id ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	en, ok := a.entries[id]
	return ok && en.fate == committed
}

// order checks the first copy of an event against the events of its key that were received before.
func (a *Account) order(en *entry, e Event) {
	k, ok := a.keys[e.Key]
	if !ok {
		k = &keyOrder{}
		a.keys[e.Key] = k
	}
	switch {
	case e.Seq > k.last:
		a.count.overtaken += int(e.Seq - k.last - 1)
		k.last = e.Seq
	case e.Seq < k.last:
		en.late = true
		a.count.late++
		a.count.overtaken--
	}
}

// observe notes the latencies of a committed and received event.
func (a *Account) observe(en *entry) {
	if en.committedAt == 0 || en.disturbed {
		return
	}
	a.toStored.add(time.Duration(en.storedAt - en.committedAt))
	a.toReceived.add(time.Duration(en.receivedAt - en.committedAt))
}

// Disturbed says whether the broker is away or its backlog still drains. The latency is that of the events
// committed while it was not disturbed.
func (a *Account) Disturbed(yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disturbed = yes
}

package relay

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// simulation is a database of one sequence in which steps of transactions and statements of the reader interleave at
// random. A transaction takes the lock on the sequence, draws, gets its transaction id, becomes visible, and releases
// its two locks, each a step of its own and the last two in any order: a backend can be preempted between them.
type simulation struct {
	next    int64
	serial  int64
	writers []*simulatedWriter // that are not over
	rows    map[int64]*simulatedWriter
	locked  map[int]bool // keys
}

type simulatedWriter struct {
	name    string
	former  string // before PREPARE TRANSACTION, for as long as a list may still have it
	key     int    // whose row it holds, from its begin to the release of its transaction id, if it has one
	xid     int64
	ids     []int64
	visible bool // committed, or rolled back
	aborted bool
	holds   struct{ sequence, xid bool }
}

func newSimulation() *simulation {
	return &simulation{rows: make(map[int64]*simulatedWriter), locked: make(map[int]bool)}
}

func (s *simulation) step(r *rand.Rand) {
	if len(s.writers) == 0 || r.IntN(6) == 0 {
		s.begin(r)
		return
	}
	i := r.IntN(len(s.writers))
	w := s.writers[i]
	switch dice := r.IntN(16); {
	case w.visible:
		s.release(r, w)
		if !w.holds.sequence && !w.holds.xid {
			s.writers = slices.Delete(s.writers, i, i+1)
		}
	case dice < 8:
		s.write(r, w)
	case dice == 8 && w.xid != 0 && !isPrepared(w.name):
		w.former, w.name = w.name, fmt.Sprintf("-1/%d", w.xid)
	case dice > 10:
		w.visible, w.aborted = true, r.IntN(3) == 0
	}
}

func (s *simulation) begin(r *rand.Rand) {
	key := r.IntN(6)
	if s.locked[key] {
		return
	}
	s.locked[key] = true
	s.serial++
	s.writers = append(s.writers, &simulatedWriter{name: fmt.Sprintf("3/%d", s.serial), key: key})
}

// write draws an id and inserts a row. The transaction id comes between the two, if not before.
func (s *simulation) write(r *rand.Rand, w *simulatedWriter) {
	switch {
	case isPrepared(w.name):
	case !w.holds.sequence:
		w.holds.sequence = true
	case w.xid == 0 && (len(w.ids) > 0 || r.IntN(4) == 0):
		s.serial++
		w.xid, w.holds.xid = s.serial, true
	default:
		s.next++
		w.ids = append(w.ids, s.next)
	}
}

// release takes one of the locks away, after the end of the transaction.
func (s *simulation) release(r *rand.Rand, w *simulatedWriter) {
	if w.holds.xid && (!w.holds.sequence || r.IntN(2) == 0) {
		w.holds.xid = false
		delete(s.locked, w.key)
		return
	}
	w.holds.sequence = false
	if w.xid == 0 {
		delete(s.locked, w.key)
	}
}

// list is sql/writers.sql: the sequence's lock and those on transaction ids. pg_locks copies the
// fast-path locks first, so a lock that moves to the shared table meanwhile is listed twice, and by
// PREPARE TRANSACTION under both names.
func (s *simulation) list(r *rand.Rand) (list []heldWriter) {
	for _, w := range s.writers {
		if !w.holds.sequence {
			continue
		}
		held := heldWriter{Virtual: w.name}
		if w.holds.xid {
			held.XID = w.xid
		}
		if r.IntN(4) == 0 {
			list = append(list, heldWriter{Virtual: cmp.Or(w.former, w.name), XID: held.XID * int64(r.IntN(2))})
		}
		w.former = ""
		list = append(list, held)
	}
	return list
}

// ended is sql/ended.sql.
func (s *simulation) ended(xids []int64) (ended []int64) {
	for _, xid := range xids {
		open := slices.ContainsFunc(s.writers, func(w *simulatedWriter) bool { return w.xid == xid && !w.visible })
		if !open {
			ended = append(ended, xid)
		}
	}
	return ended
}

// read returns the visible rows of first..last.
func (s *simulation) read(first, last int64) (ids []int64) {
	for id := first; id <= min(last, s.next); id++ {
		if w := s.rows[id]; w != nil && w.visible && !w.aborted {
			ids = append(ids, id)
		}
	}
	return ids
}

// remember keeps who wrote what, also once a writer is over.
func (s *simulation) remember() {
	for _, w := range s.writers {
		if w.xid == 0 {
			continue // it has drawn, and not inserted
		}
		for _, id := range w.ids {
			s.rows[id] = w
		}
	}
}

// simulatedReader runs the reader's protocol, as readGaps in reader.go does, with steps of transactions between any two
// of its statements.
type simulatedReader struct {
	t     *testing.T
	db    *simulation
	gaps  *gaps
	head  int64
	got   map[int64]bool
	order []int64 // as handed out
	fresh []int64
	steps func()
	dice  *rand.Rand
}

func (r *simulatedReader) round(limit int) {
	r.steps()
	if len(r.fresh) == 0 {
		r.fresh = r.db.read(r.head+1, r.db.next)
		for _, id := range r.fresh {
			r.gaps.miss(r.head+1, id-1)
			r.head = id
		}
	}
	late := r.readGaps(limit)
	for len(r.fresh) > 0 && r.fresh[0] < r.gaps.unreadFrom() {
		late = append(late, r.fresh[0])
		r.fresh = r.fresh[1:]
	}
	slices.Sort(late)
	for _, id := range late {
		require.False(r.t, r.got[id], "id %d was handed out twice", id)
		r.got[id] = true
	}
	r.order = append(r.order, late...)
}

func (r *simulatedReader) readGaps(limit int) (late []int64) {
	for r.gaps.any() {
		r.steps()
		if r.gaps.needWriters() {
			r.gaps.setWriters(r.db.list(r.dice))
			r.steps()
		}
		look := slices.Clone(r.gaps.look(limit))
		late = nil
		for _, each := range look {
			late = append(late, r.db.read(each.first, each.last)...)
		}
		r.steps()
		if watched := r.gaps.watched(); len(watched) > 0 {
			ended := r.db.ended(watched)
			r.gaps.end(ended)
			if len(ended) > 0 {
				continue
			}
		}
		readTo := int64(math.MaxInt64)
		if most := 1 + r.dice.IntN(6); len(late) >= most {
			late = late[:most]
			readTo = late[most-1]
		}
		r.gaps.endLook(len(look), late, readTo)
		return late
	}
	return nil
}

// requireOrder fails if a row was handed out after a later one of its transaction or of its key.
func (r *simulatedReader) requireOrder() {
	last := make(map[int]int64)
	for _, id := range r.order {
		key := r.db.rows[id].key
		require.Greater(r.t, id, last[key], "key %d", key)
		last[key] = id
	}
}

func TestGapsInASimulatedDatabase(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		dice := rand.New(rand.NewPCG(seed, 1))
		db := newSimulation()
		quiet := false
		r := &simulatedReader{t: t, db: db, gaps: newGaps(), got: map[int64]bool{}, dice: dice}
		r.steps = func() {
			for range dice.IntN(8) {
				if !quiet {
					db.step(dice)
				}
			}
			db.remember()
		}
		for range 100 {
			r.round(1 + dice.IntN(20))
		}
		for _, w := range db.writers {
			if w.xid == 0 && len(w.ids) > 0 {
				db.serial++
				w.xid = db.serial
			}
			w.visible = true
		}
		db.remember()
		db.writers, quiet = nil, true
		for range 100 {
			r.round(20)
		}
		for id, w := range db.rows {
			require.Equal(t, !w.aborted, r.got[id], "seed %d: id %d", seed, id)
		}
		require.Zero(t, r.gaps.len(), "every gap is decided in the end")
		r.requireOrder()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

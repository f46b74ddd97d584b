package verify

import "hash/maphash"

// order remembers for each key the highest id that the stream was seen to hold. Keys are hashed to 64 bits, with a seed of the run's
// own: two of ten million keys meet in one run of a hundred thousand, which could make a false alarm that the next run does
// not repeat. It takes about 40 bytes a key.
type order struct {
	seed maphash.Seed
	last map[uint64]int64
}

func newOrder() order { return order{seed: maphash.MakeSeed(), last: make(map[uint64]int64)} }

// behind returns the id of a later event of the key that the stream holds before this one; 0 if there is none.
func (o order) behind(key string, id int64) int64 {
	if key == "" {
		return 0
	}
	if last := o.last[maphash.String(o.seed, key)]; last > id {
		return last
	}
	return 0
}

// pass notes that the stream holds the event here.
func (o order) pass(key string, id int64) {
	if key == "" {
		return
	}
	hash := maphash.String(o.seed, key)
	o.last[hash] = max(o.last[hash], id)
}

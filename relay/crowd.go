package relay

import "hash/maphash"

const (
	// crowdLimit is how many keys, and how many stretches of ids, a crowd tells apart: some 80 MiB if
	// it has as many of both.
	crowdLimit = 1 << 20
	// coarseBits is how many bits tell what comes beyond: 16 MiB.
	coarseBits = 1 << 27
	// wordBits is how many ids make a stretch.
	wordBits = 64
)

// crowd is a set of keys, and of ids of events without one. It has no limit: beyond crowdLimit it
// may take a key for another one that is in it, one of a hundred after a million keys more.
type crowd struct {
	seed   maphash.Seed
	limit  int
	keys   map[uint64]struct{} // hashes
	ids    map[int64]uint64    // by stretch, a bit for each id
	coarse []uint64            // a bit for each hash; nil while there is room in the others
}

func newCrowd() *crowd {
	return &crowd{seed: maphash.MakeSeed(), limit: crowdLimit, keys: map[uint64]struct{}{}, ids: map[int64]uint64{}}
}

// stretch returns where the bit of an id is.
func stretch(id int64) (word int64, bit uint64) {
	return id >> 6, 1 << (uint64(id) % wordBits)
}

func (c *crowd) hash(id int64, key string) uint64 {
	if key == "" {
		return maphash.Comparable(c.seed, id)
	}
	return maphash.String(c.seed, key)
}

// add adds a key, or an id if the key is empty.
func (c *crowd) add(id int64, key string) {
	word, bit := stretch(id)
	_, begun := c.ids[word]
	hash := c.hash(id, key)
	switch {
	case key == "" && (begun || len(c.ids) < c.limit):
		c.ids[word] |= bit
	case key != "" && len(c.keys) < c.limit:
		c.keys[hash] = struct{}{}
	case c.has(id, key):
	default:
		if c.coarse == nil {
			c.coarse = make([]uint64, coarseBits/wordBits)
		}
		c.coarse[hash%coarseBits/wordBits] |= 1 << (hash % wordBits)
	}
}

func (c *crowd) has(id int64, key string) bool {
	hash := c.hash(id, key)
	if len(c.coarse) > 0 && c.coarse[hash%coarseBits/wordBits]>>(hash%wordBits)&1 == 1 {
		return true
	}
	if key == "" {
		word, bit := stretch(id)
		return c.ids[word]&bit != 0
	}
	_, found := c.keys[hash]
	return found
}

// remove removes an id, unless it is beyond the limit.
func (c *crowd) remove(id int64) {
	word, bit := stretch(id)
	if c.ids[word] &^= bit; c.ids[word] == 0 {
		delete(c.ids, word)
	}
}

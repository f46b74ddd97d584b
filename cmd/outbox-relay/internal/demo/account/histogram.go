package account

import (
	"math"
	"math/bits"
	"time"
)

// subBuckets is how many buckets one power of two is cut into: 64 keep the error of a quantile under 1.6 %.
const subBuckets = 64

// histogram counts durations in buckets that grow with the value, in microseconds. It has a fixed size however long the
// demo runs. The zero value is ready.
type histogram struct {
	buckets [(64 - 6 + 1) * subBuckets]uint64
	total   uint64
}

// add counts d. A negative duration counts as 0: the relay may be quicker than the return of the commit.
func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0).Microseconds()))]++
	h.total++
}

// quantile returns the duration under which the share q of all durations lies, 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i := range h.buckets {
		seen += h.buckets[i]
		if seen >= rank {
			return time.Duration(upperEnd(i)) * time.Microsecond
		}
	}
	return 0
}

// bucketOf returns the bucket of v. Below 64 each value has its own; above, the six bits after the highest one choose.
func bucketOf(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return (shift+1)*subBuckets + int(v>>shift) - subBuckets
}

// upperEnd returns the largest value of a bucket.
func upperEnd(bucket int) uint64 {
	if bucket < subBuckets {
		return uint64(bucket)
	}
	shift := bucket/subBuckets - 1
	return (uint64(bucket%subBuckets)+subBuckets+1)<<shift - 1
}

package relay

import (
	"cmp"
	"math"
	"slices"
)

// span is a range of ids, both ends included.
type span struct{ first, last int64 }

// union returns the ids of spans as ranges that are sorted and do not touch each other. It reorders spans.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	merged := spans[:0]
	for _, each := range spans {
		if last := len(merged) - 1; last >= 0 && each.first <= merged[last].last+1 {
			merged[last].last = max(merged[last].last, each.last)
			continue
		}
		merged = append(merged, each)
	}
	return merged
}

// between returns the ids up to head that are in none of the spans, which are sorted and do not touch.
func between(spans []span, head int64) []span {
	var rest []span
	next := int64(math.MinInt64)
	for _, each := range spans {
		if each.first > head {
			break
		}
		if each.first > next {
			rest = append(rest, span{first: next, last: each.first - 1})
		}
		next = each.last + 1
	}
	if next <= head {
		rest = append(rest, span{first: next, last: head})
	}
	return rest
}

// covers reports whether id is in one of the spans, which are sorted and do not touch.
func covers(spans []span, id int64) bool {
	_, found := slices.BinarySearchFunc(spans, id, func(each span, id int64) int {
		switch {
		case each.last < id:
			return -1
		case each.first > id:
			return 1
		}
		return 0
	})
	return found
}

// behind returns the ids of sorted spans that come after id.
func behind(spans []span, id int64) []span {
	at, _ := slices.BinarySearchFunc(spans, id, func(each span, id int64) int { return cmp.Compare(each.last, id+1) })
	rest := slices.Clone(spans[at:])
	if len(rest) > 0 {
		rest[0].first = max(rest[0].first, id+1)
	}
	return rest
}

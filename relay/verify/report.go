package verify

import (
	"time"

	"github.com/gameoutbox/relay/outbox"
)

// Kind says in one word what is wrong with an event.
type Kind string

// The kinds of findings.
const (
	Missing    Kind = "missing"      // the stream does not hold it
	Duplicated Kind = "duplicated"   // the stream holds it more than once
	OutOfOrder Kind = "out_of_order" // it stands behind a later event of its key
	Altered    Kind = "altered"      // the stream holds something else under its ids
)

// Finding is one thing that is wrong with one event.
type Finding struct {
	Kind    Kind      `json:"kind"`
	ID      int64     `json:"id"`
	EventID outbox.ID `json:"event_id"`
	Subject string    `json:"subject"`
	Key     string    `json:"key,omitempty"`
	// Sequences are the places in the stream that the finding is about; none if the event is missing.
	Sequences []uint64 `json:"sequences,omitempty"`
	// Detail says more: what differs, or behind which event it stands.
	Detail string `json:"detail,omitempty"`
}

// Report is what a verification found. Its counts are of events, each counted once in each line.
type Report struct {
	Broker string `json:"broker"`
	Stream string `json:"stream"`
	// First and Last are the sequences of the part of the stream that was read; both are 0 if none was.
	First uint64 `json:"first_sequence"`
	Last  uint64 `json:"last_sequence"`
	// Events is how many were compared: those that are selected, retained and acknowledged.
	Events     int64 `json:"events"`
	Missing    int64 `json:"missing"`
	Duplicated int64 `json:"duplicated"`
	OutOfOrder int64 `json:"out_of_order"`
	Altered    int64 `json:"altered"`
	// Doubtful is how many of Missing a limit of the stream, or a consumer, may have removed, so that consumers may have got them.
	Doubtful int64 `json:"doubtful"`
	// Expired is how many of Events the stream has removed by its own settings, which Expires tells in words.
	Expired int64  `json:"expired"`
	Expires string `json:"expires,omitempty"`
	// Room is how many more events the stream takes in any case before it is full; math.MaxInt64 if it has no limit.
	Room uint64 `json:"room"`
	// Elsewhere is how many retained events other streams have acknowledged; the selection does not narrow it.
	Elsewhere int64 `json:"elsewhere"`
	// Others are those streams.
	Others []Other       `json:"others,omitempty"`
	Took   time.Duration `json:"took_ns"`

	lost []lostSpan // what is missing, for [Repair]
}

// Other is a stream that is not compared, and how many retained events it has acknowledged.
type Other struct {
	Broker string `json:"broker"`
	Stream string `json:"stream"`
	Events int64  `json:"events"`
}

// Whole reports whether nothing is wrong.
func (r *Report) Whole() bool { return r.Missing+r.Duplicated+r.OutOfOrder+r.Altered == 0 }

// OnlyMissing reports whether nothing is wrong that sending the missing events again does not mend.
func (r *Report) OnlyMissing() bool { return r.Duplicated+r.OutOfOrder+r.Altered == 0 }

// count counts a finding.
func (r *Report) count(kind Kind) {
	switch kind {
	case Missing:
		r.Missing++
	case Duplicated:
		r.Duplicated++
	case OutOfOrder:
		r.OutOfOrder++
	case Altered:
		r.Altered++
	}
}

// span is a range of ids, both ends included.
type span struct{ first, last int64 }

// appendID adds an id to spans that are in order, at their end.
func appendID(spans []span, id int64) []span {
	if last := len(spans) - 1; last >= 0 && spans[last].last+1 == id {
		spans[last].last = id
		return spans
	}
	return append(spans, span{first: id, last: id})
}

// columns returns spans as Postgres takes them.
func columns(spans []span) (first, last []int64) {
	first, last = make([]int64, len(spans)), make([]int64, len(spans))
	for i, each := range spans {
		first[i], last[i] = each.first, each.last
	}
	return first, last
}

// lostSpan is a part of a receipt that the stream does not hold.
type lostSpan struct {
	receipt int64
	ids     []span
	settled time.Time // not before the last of them was settled, by the database's clock
}

package relay

import "math/bits"

const (
	// firstEvents is how many events the first read of many returns at most. Each of the next returns up to moreEvents times as many, up
	// to Config.BatchEvents; or, where the bytes are what limits it, one part in moreParts more than the last.
	firstEvents = 1024
	moreEvents  = 4
	moreParts   = 8
)

// ask is what one read of new events may return. As a rule the bound in bytes lies in what each event may have. Where a few are much
// larger than the others little would be returned so; then the server measures what it returns, which takes more of its time.
type ask struct {
	events  int
	payload int // the most bytes that a payload may have; 0 for any: the server measures
}

// firstAsk is that of a reader which knows nothing of the payloads yet.
func firstAsk(most limits) ask { return askSome(min(firstEvents, most.events), most) }

// askSome asks for events of any size with which so many fit.
func askSome(events int, most limits) ask { return ask{events: events, payload: most.bytes / events} }

// next returns what to ask for after this has returned p. Of a backlog it is more and more, so that the first events do not wait for the
// last; but where the bytes ended the page, only some more than it holds.
func (a ask) next(p page, most limits) ask {
	events := firstEvents
	switch {
	case p.omitted && a.payload > 0:
		return ask{events: a.events}
	case p.omitted || p.bytes >= most.bytes:
		events = len(p.events) + len(p.events)/moreParts + 1
	case len(p.events) >= a.events:
		events = a.events * moreEvents
	}
	events = min(events, most.events)
	if len(p.events) == 0 && a.payload == 0 {
		return ask{events: events} // nothing has changed
	}
	fit := events // of the largest, or somewhat larger ones
	if p.largest > 0 {
		fit = min(events, most.bytes>>bits.Len(uint(p.largest-1)))
	}
	// Events of the usual size, of which there may be twice as many.
	if usual := min(events, most.bytes*len(p.events)/max(p.bytes, 1)); fit == 0 || 2*fit < usual {
		return ask{events: events}
	}
	return askSome(fit, most)
}

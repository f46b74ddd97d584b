package publishertest

import "testing"

// Run runs every case that the broker has what it takes for. The test that calls it must not be parallel: goroutines of other
// tests would look like leaks.
func Run(t *testing.T, h Harness) {
	t.Helper()
	// This one is not parallel, so that it is over before the others begin.
	t.Run("no goroutine is left after Close", func(t *testing.T) { leavesNothing(newFixture(t, h, h.Open(t))) })
	for name, test := range h.cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newFixture(t, h, h.Open(t)))
		})
	}
	if h.OpenOwn == nil {
		return
	}
	for name, test := range outageCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newFixture(t, h, h.OpenOwn(t)))
		})
	}
}

// cases returns the cases by name, except those in which the server is stopped.
func (h Harness) cases() map[string]func(*fixture) {
	cases := map[string]func(*fixture){
		"the publisher has a name":                           hasName,
		"an empty batch has no outcomes":                     emptyBatch,
		"one event is stored with all its fields":            oneEvent,
		"an event without key, headers and payload":          bareEvent,
		"payloads arrive byte for byte":                      payloads,
		"non-ASCII subjects, keys and headers arrive":        nonASCII,
		"headers cannot pretend to be the relay's":           reservedHeaders,
		"a header with a meaning to NATS clients is refused": statusHeaders,
		"a header with a line break is refused or preserved": lineBreak,
		"events of a key are stored in order":                orderByKey,
		"a batch of 5,000 is stored":                         bigBatch,
		"batches follow each other in order":                 manyBatches,
		"a second attempt is a duplicate":                    duplicateEvent,
		"a second attempt of a batch is all duplicates":      duplicateBatch,
		"a batch half of which is stored is completed":       halfDuplicate,
		"another publisher's events are duplicates too":      duplicateOfAnother,
		"an ended context":                                   endedContext,
		"a context that ends in the middle":                  contextEndsMidway,
		"Close can be called twice, and Publish after it":    closedPublisher,
	}
	if h.TooLarge > 0 {
		cases["an event that is too large hinders no other"] = tooLarge
		cases["many events that are too large hinder no other"] = manyTooLarge
		cases["nothing of a held key follows a refusal"] = holdsKeys
	}
	if h.ReadsBack {
		cases["what is stored can be read back"] = readBack
		cases["a scan ends when it is told to"] = scanEnds
		cases["an accepted state is gone on from"] = acceptedState
		cases["a stream that ends before the accepted state gets nothing"] = contradictedState
	}
	if !h.TakesAnySubject {
		cases["a bad subject hinders no other event"] = badSubjects
	}
	return cases
}

var outageCases = map[string]func(*fixture){
	"an outage is answered as unavailable and heals":           outage,
	"a publisher that starts in an outage heals":               startInOutage,
	"nothing is lost or reordered by outages while publishing": outagesMidway,
}

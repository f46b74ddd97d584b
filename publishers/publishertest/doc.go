// Package publishertest is the conformance suite of [relay.Publisher]. Every publisher passes it against its real server:
//
//	func TestConformance(t *testing.T) {
//		publishertest.Run(t, publishertest.Harness{
//			Open:       func(t *testing.T) publishertest.Place { ... },
//			MaxPayload: 1 << 20,
//		})
//	}
//
// The suite speaks of a broker in few words: a [Place] is an empty corner of it, such as a stream, in which publishers
// store events and from which an independent reader gets them back. What a broker cannot do is left out of the [Harness], and
// the cases that need it are not part of its suite.
package publishertest

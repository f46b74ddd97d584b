// Package verify compares the retained events with the stream that acknowledged them, and sends again what the stream has lost.
//
// # What is compared
//
// Every row of outbox.events that a receipt of the stream covers has to be in the stream once, as it was written, and behind the
// events of its key with lower ids. Rows without a receipt are still to be published, and are no matter of this package.
// What others have stored in the stream, and events whose rows were purged, are none either.
//
//   - missing: no message of the stream has the event's id. (A message with another row's number will do, if it has the same
//     subject, key and payload: where two rows have the same event_id, as after a replay, the stream may have recognised the
//     second and dropped it.)
//   - duplicated: the stream holds the same row more than once. Copies of a replay are rows of their own.
//   - out of order: the event stands behind one of its key that has a higher id.
//   - altered: subject, key, headers or payload differ; or the event is missing, and a message has its number and another id,
//     or its id and other content.
//   - expired: not found, and a setting of the stream explains it: a limit, an age, consumption. That is no finding.
//
// What the relay has seen of the stream's limits counts, not only those of now: see [relay.KeptFrom]. What is missing may then be doubtful: a
// limit that was lifted since may have removed it, and consumers may have got it.
//
// # How it is done in bounded memory
//
//	receipts, by first sequence   -------+
//	                                     |  advance: read the rows of the receipts that begin, close those that end
//	stream, forward, with payloads  -----+---> match by id and event_id, order per key
//	                                     |
//	              rows not found in their receipt's range        messages that match no row
//	                                     |                                  |
//	                                     v                                  v
//	                            the database is asked again: purged? taken back? being settled?
//	                                     |
//	                                     v  what is left, and only if anything is
//	                            a look through the stream for those ids, headers only
//
// A receipt says between which sequences its events lie; it covers some ten thousand events at most, and few receipts overlap.
// So the rows of a few receipts are in memory at a time, about 250 bytes each without their payloads, of which the database
// computes the hash. Besides, there are 40 bytes for each receipt, 16 bytes and their overhead (about 40 bytes in all) for each
// different key, and what may turn out to be a finding.
//
// # Why a running relay raises no false alarm
//
// The receipts are listed before the end of the stream is asked for, so what they cover lies before that end. A receipt that was
// extended since is followed to its new end. A row counts as missing only if at the end of it all the same receipt still covers
// it, and if a second look at the stream, for its id alone, does not find it either. A message counts as a duplicate only if
// that look sees two. What the stream removed meanwhile is told by where it begins at the end.
package verify

// Package deadletter is the operator's side of outbox.dead_letters: it lists and shows dead letters, puts them back into
// outbox.events, and throws them away.
//
// # Nothing in between
//
// A dead letter is retried or discarded in one transaction, together with everything that hangs on it: the row, the keys
// that it holds, the line of outbox.dead_letter_log, and the epoch that makes the leading relay read the table again. So an event
// is never in both tables, never in none, and never moved without a trace. Many are worked on in chunks, each a transaction: an
// interruption leaves whole chunks done.
//
// # The old place
//
// A retried event keeps its event_id, its created_at, and its id where no other event has that by now. The id is its place in the
// order, so the later events of a key that was held follow it.
//
// # The duplicate window
//
// A stream drops an event whose event_id it has seen of late, and acknowledges it all the same. So that an acknowledgement says
// nothing of a retry: [Store.Await] waits until the relay has settled it, and [Stream] then looks for it in the stream itself.
// An event that was dropped and that the stream does not hold is put back among the dead letters, see [Store.PutBack].
package deadletter

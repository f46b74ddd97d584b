// Package account keeps the books of the demo: what the game committed or rolled back on one side, what a client of the
// stream received on the other. The two sides are told of by different parts of the demo, and nothing in between is asked, so
// that neither the relay nor the stream can vouch for itself.
//
// Every event has an id and a place in its key: the game numbers the events of a player 1, 2, 3 in the same
// transaction that writes them, so a number that was rolled back is used again and the committed ones have no hole. From that
// the account tells:
//
//   - lost: committed and not received. While the game runs, an event counts as lost as soon as a later one of its
//     key was received; in the end every committed event that is missing is lost.
//   - duplicated: each copy of an event after the first.
//   - out of order: the first copy of an event that was received after a later one of its key.
//   - leaked: received, although its transaction was rolled back.
//   - foreign: received, but never written by the game, or not readable.
//   - in doubt: the commit ended in an error and the database could not yet be asked what became of it.
package account

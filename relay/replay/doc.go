// Package replay publishes retained events once more.
//
// A replay writes copies of the events that are meant into outbox.events, as ordinary new events: the relay publishes them in order
// behind everything that was written before, with the same retries, receipts and dead letters. A copy has the subject, key, headers,
// payload and created_at of its original, and either a new event_id or the same.
//
//   - The same id: consumers that dedup by event_id ignore the copy, and the stream drops it while it recognises the id, which it
//     does for its duplicate window after it has stored it.
//   - A new id: the copy is another event for everybody.
//
// Only events that were acknowledged are copied; the others will be published anyway. The row of outbox.replays holds what was
// asked for, the last id that belongs to it, which is fixed at the start so that the copies are not copied again, and how far it has
// come. That place moves in the transaction that writes the copies: however often a replay is interrupted and resumed, each event
// is copied once.
package replay

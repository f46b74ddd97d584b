// Package game is a small game that uses the outbox the way a game service does: players level up, trade and win matches, and
// each of these changes rows of the game and writes events in one transaction. Many writers play at once, on the same
// players.
//
// A transaction takes the row locks of its players first and writes its events afterwards, so that the events of a player
// get their ids in the order of what happened to the player. A share of the transactions is rolled back on purpose after
// the events were written.
//
// What became of every transaction is told to a [Ledger]. Where a commit ends in an error, nobody knows: then the history
// of the game is asked, a table that was written in the same transaction.
package game

// Package demo is the command `outbox-relay demo`: it starts a Postgres and a JetStream server that live as long as the demo, runs
// the relay between them, plays a small game on the one and reads the stream of the other, and keeps an account of both.
//
//	game --transactions--> Postgres --relay--> JetStream --ordered consumer--+
//	  |                                                                      |
//	  +------- what was committed ------> account <------ what was received -+
//
// With a Redis server (--redis-url) the relay has a fallback for the outage, and another client reads that.
//
// The relay is the one that `outbox-relay run` runs. The account (package account) asks neither it nor Postgres' outbox: it
// compares what the game saw committed with what the consumer got. In the end the database is asked how many events it has
// committed, so that the game's own count is not taken on trust either.
//
// The parts: throwaway provides the Postgres, broker the JetStream server and the consumer, game the transactions, display
// the screen, and reaper cleans up should the demo be killed.
package demo

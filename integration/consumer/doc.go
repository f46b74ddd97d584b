// Command consumer is an example of a consumer of the relay's events, over JetStream and Redis at once: it does what each event asks
// for once and in order, whichever broker brings it, and however often. docs/CONSUMERS.md explains it and quotes it.
//
//	JetStream --durable consumer--+
//	                              +--> Handler: has it been seen? else the effect --> acknowledge
//	Redis ----consumer group------+
//
// With -database it is [Inbox]: ids, order and effect are in one database, in one transaction. Without it is [Printer], which
// remembers some ids in memory and prints the events.
//
//	go run ./integration/consumer -nats nats://localhost:4222 -redis localhost:6379
//	go run ./integration/consumer -nats nats://localhost:4222 -redis localhost:6379 -database postgres://localhost/rewards
package main

// Command outbox-relay forwards the events of a Postgres outbox table to NATS JetStream or a Redis Stream.
//
// Exit codes: 0 is success or a clean stop on SIGTERM or SIGINT, 1 is a failure, 2 is wrong usage or configuration.
package main

import (
	"context"
	"os"
)

func main() {
	ctx, release := untilSignal(context.Background(), oneWish, os.Stderr, os.Exit)
	code := execute(ctx, newRootCommand(os.Environ()))
	release()
	os.Exit(code)
}

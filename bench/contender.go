package main

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// contender is a program that brings events from a table of Postgres to a stream. Each runs as a process of its own.
type contender interface {
	// name is what the tables call it.
	name() string
	// empty leaves its table there and empty.
	empty(ctx context.Context, l *lab) error
	// insertSQL is a statement that puts the events of a workload into its table, with the arguments of workload.args.
	insertSQL(w workload) string
	// start returns when it waits for events.
	start(ctx context.Context, l *lab) (*process, error)
	// settled tells whether it has written back everything that is in its table, or in the log of the server up to the place end.
	settled(ctx context.Context, l *lab, end string) (bool, error)
}

// insert puts events into the contender's table.
func insert(ctx context.Context, tx pgx.Tx, c contender, w workload, first, count int) error {
	_, err := tx.Exec(ctx, c.insertSQL(w), w.args(first, count)...)
	return err
}

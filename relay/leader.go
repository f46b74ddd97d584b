package relay

import (
	"context"
	_ "embed" // the statement is a file
)

//go:embed sql/has_leader.sql
var hasLeaderSQL string

// HasLeader reports whether a relay leads the outbox of a database now, wherever it runs. The database is a pool or a connection.
func HasLeader(ctx context.Context, db Queryer) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return queryOne[bool](ctx, db, hasLeaderSQL, int64(leaderLock))
}

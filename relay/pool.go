package relay

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// MinConns is the least number of connections that [NewPool] can do with: one reads, one settles, one measures.
const MinConns = 3

// silenceLimit is how long sent bytes may stay unacknowledged by the server's host.
const silenceLimit = 25 * time.Second

// connectTimeout bounds the making of one connection.
const connectTimeout = 5 * time.Second

// planOnlyByIndex keeps the planner on the primary key. Its statistics of an outbox are out of date by nature: a plan
// made while the table was empty reads all of a table that has grown to millions of rows since. Where only a sequential scan
// is possible, the planner now thinks it very expensive, and would compile the plan for most of a second: hence jit = off.
const planOnlyByIndex = "set enable_seqscan = off; set enable_bitmapscan = off; set jit = off;"

// noticeDeath makes the server end the session, and free its lock, within half a minute after the relay's host has gone silent.
// Left to the system's defaults this takes hours, in which no other relay could lead.
const noticeDeath = "set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = 25000"

// NewPool returns a pool for a relay, for a connection string as pgx takes it, of at most maxConns connections (at least
// [MinConns]). It does not connect; the error speaks of the connection string, whose password it does not repeat.
func NewPool(ctx context.Context, url string, maxConns int32) (*pgxpool.Pool, error) {
	if maxConns < MinConns {
		return nil, fmt.Errorf("a relay needs at least %d connections, %d are allowed", MinConns, maxConns)
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("connection string: %w", err)
	}
	cfg.MaxConns = maxConns
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	// Half a minute without a sign of life from the server's host ends a connection, whether it is idle or waits for an answer.
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4},
		Control:         limitSilence,
	}
	cfg.ConnConfig.DialFunc = dialer.DialContext
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "outbox-relay"
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		_, err := conn.Exec(ctx, planOnlyByIndex+noticeDeath)
		return err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

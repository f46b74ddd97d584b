package relay

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// MinConns is the least number of connections that [NewPool] can do with: one keeps the lease, one reads, one settles, and one measures
// and purges.
const MinConns = 4

// maxIdle is after how long an idle connection is closed: what a relay needed while it led, a standby does not keep.
const maxIdle = 30 * time.Second

// silenceLimit is how long sent bytes may stay unacknowledged by the server's host.
const silenceLimit = 25 * time.Second

// connectTimeout bounds the making of one connection.
const connectTimeout = 5 * time.Second

// ownSession is what a connection of our own is set to, for the statements of people and for what a leader reads, which go without
// settings.sql. See there for the planner's part. The rest makes the server end the session within half a minute after the relay's host has gone silent, which takes hours
// by the system's defaults.
const ownSession = "set enable_seqscan = off; set enable_bitmapscan = off; set jit = off; set work_mem = '32MB'; " +
	"set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = 25000"

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
	cfg.MaxConnIdleTime, cfg.HealthCheckPeriod = maxIdle, maxIdle/2
	// Behind a pooler each transaction may be the work of another session, which knows nothing of what was prepared before.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.AfterConnect = setSession
	return pgxpool.NewWithConfig(ctx, cfg)
}

// setSession sets a connection up unless a pooler lies in between, whose sessions are everybody's.
func setSession(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	direct, err := isDirect(ctx, conn)
	if err != nil || !direct {
		return err
	}
	_, err = conn.Exec(ctx, ownSession)
	return err
}

// isDirect tells whether no pooler lies between a connection and its server: there another process answers than the connection names.
func isDirect(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var process uint32
	err := conn.QueryRow(ctx, "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&process)
	return process == conn.PgConn().PID(), err
}

package relay

import (
	"context"
	_ "embed" // the statement is a file
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// descriptionCache is of how many statements a connection remembers what they take and give. It needs nothing of the server.
const descriptionCache = 512

//go:embed sql/session.sql
var sessionSQL string

// NewPool returns a pool for a relay, for a connection string as pgx takes it, of at most maxConns connections (at least
// [MinConns]). It does not connect; the error speaks of the connection string, whose password it does not repeat.
func NewPool(ctx context.Context, url string, maxConns int32) (*pgxpool.Pool, error) {
	return NewPoolFrom(ctx, func() (string, error) { return url, nil }, maxConns)
}

// NewPoolFrom is [NewPool] for a connection string that may change while the pool lives, because a secret in it is rotated. It is asked
// for before each connection, and so are the files that it names. An error fails that connection alone. The database stays the same.
func NewPoolFrom(ctx context.Context, url func() (string, error), maxConns int32) (*pgxpool.Pool, error) {
	if maxConns < MinConns {
		return nil, fmt.Errorf("a relay needs at least %d connections, %d are allowed", MinConns, maxConns)
	}
	cfg, err := readPoolConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = maxConns
	cfg.MaxConnIdleTime, cfg.HealthCheckPeriod = maxIdle, maxIdle/2
	database := cfg.ConnConfig.Database
	cfg.BeforeConnect = func(_ context.Context, next *pgx.ConnConfig) error {
		fresh, err := readPoolConfig(url)
		if err != nil {
			return err
		}
		if now := fresh.ConnConfig.Database; now != database {
			return fmt.Errorf("the connection string names database %q now, and named %q at the start; restart the relay", now, database)
		}
		*next = *fresh.ConnConfig
		return nil
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// ConnConfig returns how a single connection for a connection string is made. Its session is set up as those of [NewPool] are.
func ConnConfig(url string) (*pgx.ConnConfig, error) {
	cfg, err := poolConfig(url)
	if err != nil {
		return nil, err
	}
	return cfg.ConnConfig, nil
}

func readPoolConfig(url func() (string, error)) (*pgxpool.Config, error) {
	text, err := url()
	if err != nil {
		return nil, err
	}
	return poolConfig(text)
}

// poolConfig reads a connection string, also one with options of a pool, and replaces what the relay cannot leave to it.
func poolConfig(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("connection string: %w", err)
	}
	conn := cfg.ConnConfig
	conn.ConnectTimeout = connectTimeout
	// Half a minute without a sign of life from the server's host ends a connection, whether it is idle or waits for an answer.
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4},
		Control:         limitSilence,
	}
	conn.DialFunc = dialer.DialContext
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "outbox-relay"
	}
	// The two that the driver reads text by. Poolers take them at the start of a connection too.
	setParameter(conn.RuntimeParams, "client_encoding", "UTF8")
	setParameter(conn.RuntimeParams, "DateStyle", "ISO")
	// Behind a pooler each transaction may be the work of another session, which knows nothing of what was prepared before.
	conn.DefaultQueryExecMode, conn.DescriptionCacheCapacity = pgx.QueryExecModeCacheDescribe, descriptionCache
	conn.ValidateConnect = setSession(conn.ValidateConnect)
	conn.OnNotification = hear
	return cfg, nil
}

// setParameter sets a parameter, whose name has no case.
func setParameter(parameters map[string]string, name, value string) {
	maps.DeleteFunc(parameters, func(other, _ string) bool { return strings.EqualFold(other, name) })
	parameters[name] = value
}

// setSession returns a function that sets a session up, see sql/session.sql, and then looks whether the server is one that the connection
// string asks for: a role may be read-only by a default that has just been set.
func setSession(next pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		process := strconv.AppendUint(nil, uint64(conn.PID()), 10)
		result := conn.ExecParams(ctx, sessionSQL, [][]byte{process}, nil, nil, nil).Read()
		if result.Err != nil {
			return fmt.Errorf("set the session up: %w", result.Err)
		}
		if len(result.Rows) > 0 { // else the session is a pooler's
			markPinned(conn)
		}
		if next == nil {
			return nil
		}
		return next(ctx, conn)
	}
}

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // goose works through database/sql
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/migrations"
	"github.com/gameoutbox/relay/relay"
)

// streamName is the stream of every measurement; it is made anew for each.
const streamName = "outbox-bench"

// The headers by which events are known again; the relay's contract with its consumers.
const (
	headerID      = "Nats-Msg-Id"
	headerKey     = "Outbox-Key"
	headerSeq     = "Outbox-Seq"
	headerCreated = "Outbox-Created-At"

	createdLayout = "2006-01-02T15:04:05.000000Z"
)

// lab is a database and a stream of the benchmark's own on the servers that it was given.
type lab struct {
	o        options
	admin    *pgx.Conn
	database string
	url      string
	pool     *pgxpool.Pool
	nc       *nats.Conn
	js       natsjs.JetStream

	// The main processes of the servers, whose CPU time is measured; 0 where they are not known.
	postgresPID, natsPID, redisPID, redisIDMPPID int
}

func newLab(ctx context.Context, o options) (*lab, error) {
	l := &lab{o: o, database: fmt.Sprintf("outbox_bench_%d", os.Getpid())}
	l.postgresPID, l.natsPID = pidOf("POSTGRES"), pidOf("NATS")
	l.redisPID, l.redisIDMPPID = pidOf("REDIS"), pidOf("REDIS_IDMP")
	err := errors.Join(l.openDatabase(ctx), l.openStream())
	if err != nil {
		l.close()
	}
	return l, err
}

// pidOf returns the main process of a server, which deploy/bench.sh tells.
func pidOf(server string) int {
	pid, _ := strconv.Atoi(os.Getenv("OUTBOX_BENCH_" + server + "_PID")) // 0 where it is not set
	return pid
}

func (l *lab) openDatabase(ctx context.Context) (err error) {
	if l.admin, err = pgx.Connect(ctx, l.o.postgres); err != nil {
		return fmt.Errorf("connect to Postgres: %w; check -postgres", err)
	}
	if _, err = l.admin.Exec(ctx, "create database "+l.database); err != nil {
		return fmt.Errorf("make a database: %w; the user needs the right CREATEDB", err)
	}
	address, err := url.Parse(l.o.postgres)
	if err != nil {
		return fmt.Errorf("-postgres must be a URL: %w", err)
	}
	address.Path = l.database
	l.url = address.String()
	if err := l.migrate(ctx); err != nil {
		return err
	}
	l.pool, err = newPool(ctx, l.url)
	return err
}

// newPool returns a pool as the relay's, so that what is read by hand has the same plans. Its
// connections find the tables of the rivals too, which lie in the schema public.
func newPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	relays, err := relay.NewPool(ctx, url, 8)
	if err != nil {
		return nil, err
	}
	defer relays.Close()
	cfg := relays.Config()
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set search_path = public")
		return err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (l *lab) migrate(ctx context.Context) error {
	db, err := sql.Open("pgx", l.url)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := migrations.Up(ctx, db); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (l *lab) openStream() (err error) {
	if l.nc, err = nats.Connect(l.o.nats); err != nil {
		return fmt.Errorf("connect to NATS: %w; check -nats", err)
	}
	l.js, err = natsjs.New(l.nc)
	return err
}

// close leaves the servers as they were.
func (l *lab) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if l.nc != nil {
		_ = l.js.DeleteStream(ctx, streamName) // it may not be there
		l.nc.Close()
	}
	if l.pool != nil {
		l.pool.Close()
	}
	if l.admin != nil {
		_, _ = l.admin.Exec(ctx, "drop database if exists "+l.database+" with (force)")
		_ = l.admin.Close(ctx)
	}
}

// freshStream makes the stream anew, empty, as the relay makes it.
func (l *lab) freshStream(ctx context.Context) (natsjs.Stream, error) {
	for began := time.Now(); ; {
		stream, err := l.newStream(ctx)
		if err != nil {
			return nil, err
		}
		info, err := stream.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("look at the stream: %w", err)
		}
		switch {
		case info.State.Msgs == 0:
			return stream, nil
		case time.Since(began) > removeTimeout:
			return nil, fmt.Errorf("a new stream holds %d events of a removed one for %s", info.State.Msgs, removeTimeout)
		case !sleep(ctx, time.Second):
			return nil, ctx.Err()
		}
	}
}

// removeTimeout is how long a server may take to remove the files of a stream. Meanwhile another stream of the same name is not really removed:
// a third one begins with its events (nats-server 2.15.2).
const removeTimeout = 2 * time.Minute

func (l *lab) newStream(ctx context.Context) (natsjs.Stream, error) {
	if err := l.js.DeleteStream(ctx, streamName); err != nil && !errors.Is(err, natsjs.ErrStreamNotFound) {
		return nil, fmt.Errorf("remove the stream: %w", err)
	}
	stream, err := l.js.CreateStream(ctx, natsjs.StreamConfig{
		Name: streamName, Subjects: []string{"game.>"}, Storage: natsjs.FileStorage,
		Duplicates: 2 * time.Minute, AllowBatchPublish: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make the stream: %w; it takes a nats-server 2.14 or newer", err)
	}
	return stream, nil
}

// asks returns the answer of a query for one truth value.
func (l *lab) asks(ctx context.Context, query string, args ...any) (answer bool, err error) {
	err = l.pool.QueryRow(ctx, query, args...).Scan(&answer)
	return answer, err
}

// checkpoint writes everything to disk, so that it does not happen during a measurement.
func (l *lab) checkpoint(ctx context.Context) error {
	if _, err := l.admin.Exec(ctx, "checkpoint"); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	return nil
}

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// walReader is the least that a reader of the write-ahead log can be: logical decoding by pgoutput, asynchronous publishing, and the log
// is given free up to the last transaction whose events are all acknowledged. It is a yardstick of latency, and no relay: it
// knows no retries, and an error ends it.
type walReader struct{}

const (
	walSlot        = "outbox_bench"
	walPublication = "outbox_bench"
	walConfirm     = 10 * time.Millisecond // the least time between two confirmations
)

func (walReader) name() string { return "WAL reader (pgoutput, async publish)" }

func (walReader) empty(ctx context.Context, l *lab) error {
	if err := (&theRelay{}).empty(ctx, l); err != nil {
		return err
	}
	if known, err := l.asks(ctx, "select exists (select from pg_publication where pubname = '"+walPublication+"')"); err != nil || known {
		return err
	}
	_, err := l.pool.Exec(ctx, "create publication "+walPublication+" for table outbox.events with (publish = 'insert')")
	return err
}

func (walReader) insertSQL(w workload) string { return (&theRelay{}).insertSQL(w) }

func (walReader) start(ctx context.Context, l *lab) (*process, error) {
	return l.startRival(ctx, rivalWAL)
}

func (walReader) settled(ctx context.Context, l *lab, end string) (bool, error) {
	return l.asks(ctx, "select exists (select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn >= $2::pg_lsn)", walSlot, end)
}

// walStream is the program's state.
type walStream struct {
	conn    *pgconn.PgConn
	js      natsjs.JetStream
	pending chan walPending
	acked   atomic.Uint64 // the place in the log up to which everything is acknowledged
	told    pglogrepl.LSN // what the server was told of that
	failed  atomic.Pointer[error]
}

// walPending is an event that was sent, or the end of a transaction.
type walPending struct {
	answer natsjs.PubAckFuture
	end    pglogrepl.LSN
}

func (walReader) run(ctx context.Context, s rivalServers) error {
	_, js, err := s.connect(ctx)
	if err != nil {
		return err
	}
	conn, err := replicate(ctx, s.postgres)
	if err != nil {
		return err
	}
	w := &walStream{conn: conn, js: js, pending: make(chan walPending, 2*rawPending)}
	go w.collect(ctx)
	tellReady()
	for ctx.Err() == nil {
		if failed := w.failed.Load(); failed != nil {
			return *failed
		}
		if err := w.step(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// replicate opens a connection that the log of the outbox comes from.
func replicate(ctx context.Context, server string) (*pgconn.PgConn, error) {
	address, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	query := address.Query()
	query.Set("replication", "database")
	address.RawQuery = query.Encode()
	conn, err := pgconn.Connect(ctx, address.String())
	if err != nil {
		return nil, fmt.Errorf("open a replication connection: %w", err)
	}
	_, err = pglogrepl.CreateReplicationSlot(ctx, conn, walSlot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{Temporary: true})
	if err != nil {
		return nil, fmt.Errorf("make a replication slot: %w; Postgres has to run with wal_level=logical", err)
	}
	return conn, pglogrepl.StartReplication(ctx, conn, walSlot, 0, pglogrepl.StartReplicationOptions{
		PluginArgs: []string{"proto_version '1'", "publication_names '" + walPublication + "'", "binary 'true'"},
	})
}

// step takes one message of the log, and confirms what is acknowledged.
func (w *walStream) step(ctx context.Context) error {
	if acked := pglogrepl.LSN(w.acked.Load()); acked > w.told {
		if err := pglogrepl.SendStandbyStatusUpdate(ctx, w.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: acked}); err != nil {
			return err
		}
		w.told = acked
	}
	receiving, cancel := context.WithTimeout(ctx, walConfirm)
	defer cancel()
	for {
		message, err := w.conn.ReceiveMessage(receiving)
		if pgconn.Timeout(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.take(ctx, message); err != nil {
			return err
		}
	}
}

func (w *walStream) take(ctx context.Context, message pgproto3.BackendMessage) error {
	data, ok := message.(*pgproto3.CopyData)
	if !ok {
		if refused, ok := message.(*pgproto3.ErrorResponse); ok {
			return errors.New(refused.Message)
		}
		return nil
	}
	if data.Data[0] != pglogrepl.XLogDataByteID {
		return nil // a sign of life
	}
	logged, err := pglogrepl.ParseXLogData(data.Data[1:])
	if err != nil {
		return err
	}
	change, err := pglogrepl.Parse(logged.WALData)
	if err != nil {
		return err
	}
	switch change := change.(type) {
	case *pglogrepl.InsertMessage:
		r, err := walRow(change.Tuple.Columns)
		if err != nil {
			return err
		}
		answer, err := w.js.PublishMsgAsync(r.message(), natsjs.WithStallWait(rawStall))
		if err != nil {
			return err
		}
		return w.send(ctx, walPending{answer: answer})
	case *pglogrepl.CommitMessage:
		return w.send(ctx, walPending{end: change.TransactionEndLSN})
	}
	return nil
}

func (w *walStream) send(ctx context.Context, p walPending) error {
	select {
	case w.pending <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect waits for the acknowledgements in order.
func (w *walStream) collect(ctx context.Context) {
	for {
		var next walPending
		select {
		case next = <-w.pending:
		case <-ctx.Done():
			return
		}
		if next.answer == nil {
			w.acked.Store(uint64(next.end))
			continue
		}
		select {
		case <-next.answer.Ok():
		case err := <-next.answer.Err():
			w.failed.Store(&err)
			return
		case <-ctx.Done():
			return
		}
	}
}

// postgresEpoch is when the times of Postgres begin.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// walRow reads a row of outbox.events in the binary format.
func walRow(columns []*pglogrepl.TupleDataColumn) (row, error) {
	const id, eventID, subject, key, payload, createdAt = 0, 1, 2, 3, 5, 6
	if len(columns) <= createdAt || len(columns[id].Data) != 8 || len(columns[eventID].Data) != 16 || len(columns[createdAt].Data) != 8 {
		return row{}, errors.New("outbox.events has other columns than the WAL reader knows: mend walRow")
	}
	micros := int64(binary.BigEndian.Uint64(columns[createdAt].Data))
	return row{
		id:      int64(binary.BigEndian.Uint64(columns[id].Data)),
		eventID: pgtype.UUID{Bytes: [16]byte(columns[eventID].Data), Valid: true}.String(),
		subject: string(columns[subject].Data), key: string(columns[key].Data), payload: columns[payload].Data,
		createdAt: postgresEpoch.Add(time.Duration(micros) * time.Microsecond),
	}, nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	rawPending = 4096 // unacknowledged events of the bare asynchronous clients
	rawFlow    = 500  // events between two acknowledgements of fast ingest, the most that servers allow
	rawWindow  = 8192 // unacknowledged events of the bare fast-ingest client
	rawStall   = time.Minute
)

// rawFast is the least that a program can do which stores these events by fast ingest: it makes the messages that the relay would send, out
// of nothing, and sends them as one batch. It is the limit that the relay is compared with.
func (l *lab) rawFast(ctx context.Context, w workload) (sample, error) {
	values, err := l.raw(ctx, w, func() error { return l.fastIngest(ctx, w.outOfNothing(), w.events) })
	return withoutPostgres(values), err
}

// rawRows is the least that a program can do which stores the events of the table: it writes nothing back, waits for nothing new and
// knows no retries.
func (l *lab) rawRows(ctx context.Context, w workload) (sample, error) {
	if err := l.fillTable(ctx, w); err != nil {
		return nil, err
	}
	return l.raw(ctx, w, func() error { return l.fastIngest(ctx, l.fromTable(ctx), w.events) })
}

func (l *lab) fastIngest(ctx context.Context, events rawEvents, count int) error {
	nc, err := nats.Connect(l.o.nats, nats.SkipSubjectValidation())
	if err != nil {
		return err
	}
	defer nc.Close()
	b := &rawBatch{nc: nc, prefix: nc.NewInbox(), answers: make(chan *nats.Msg, rawWindow)}
	if _, err := nc.ChanSubscribe(b.prefix+".>", b.answers); err != nil {
		return err
	}
	b.prefix += "." + nuid.Next() + "." + strconv.Itoa(rawFlow) + ".fail."
	return b.send(ctx, events, count)
}

// rawAsync is the client library's own way to publish without waiting.
func (l *lab) rawAsync(ctx context.Context, w workload) (sample, error) {
	values, err := l.raw(ctx, w, func() error { return l.publishAsync(ctx, w.outOfNothing()) })
	return withoutPostgres(values), err
}

func (l *lab) publishAsync(ctx context.Context, events rawEvents) error {
	nc, err := nats.Connect(l.o.nats, nats.SkipSubjectValidation())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := natsjs.New(nc, natsjs.WithPublishAsyncMaxPending(rawPending))
	if err != nil {
		return err
	}
	m := newRawMessage()
	for event, err := range events {
		if err != nil {
			return err
		}
		msg := *m.of(event) // the library keeps it until it is acknowledged
		if _, err := js.PublishMsgAsync(&msg, natsjs.WithStallWait(rawStall)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// raw measures a bare client, and proves that it stored everything.
func (l *lab) raw(ctx context.Context, w workload, send func() error) (sample, error) {
	stream, err := l.freshStream(ctx)
	if err != nil {
		return nil, err
	}
	before, began := l.usageOf(os.Getpid(), l.natsPID), time.Now()
	if err := send(); err != nil {
		return nil, err
	}
	took := time.Since(began)
	used := l.usageOf(os.Getpid(), l.natsPID).perEvent(before, w.events)
	times, err := prove(ctx, stream, w)
	if err != nil {
		return nil, err
	}
	return merge(used, sample{drained.name: float64(w.events) / took.Seconds(), stored.name: rateOf(times)}), nil
}

// withoutPostgres drops what a server used that had nothing to do.
func withoutPostgres(values sample) sample {
	delete(values, postgres.name)
	delete(values, allCPU.name)
	return values
}

// rawMessage is the message of one event after the other.
type rawMessage struct {
	msg                   nats.Msg
	id, key, seq, created []string
}

func newRawMessage() *rawMessage {
	m := &rawMessage{id: make([]string, 1), key: make([]string, 1), seq: make([]string, 1), created: make([]string, 1)}
	m.msg.Header = nats.Header{headerID: m.id, headerKey: m.key, headerSeq: m.seq, headerCreated: m.created}
	return m
}

// of returns the message of an event. It is valid until the next call.
func (m *rawMessage) of(e rawEvent) *nats.Msg {
	m.msg.Subject, m.id[0], m.key[0], m.seq[0], m.created[0], m.msg.Data = e.subject, e.id, e.key, e.seq, e.created, e.payload
	return &m.msg
}

// rawBatch is one batch of fast ingest.
type rawBatch struct {
	nc      *nats.Conn
	prefix  string
	answers chan *nats.Msg
	acked   int
	done    bool
}

func (b *rawBatch) send(ctx context.Context, events rawEvents, count int) error {
	const opStart, opAppend, opCommit = "0", "1", "2"
	m, place := newRawMessage(), 0
	for event, err := range events {
		if err != nil {
			return err
		}
		place++
		op := opAppend
		switch place {
		case count:
			op = opCommit
		case 1:
			op = opStart
		}
		msg := m.of(event)
		msg.Reply = b.prefix + strconv.Itoa(place) + "." + op + ".$FI"
		if err := b.nc.PublishMsg(msg); err != nil {
			return err
		}
		for place-b.acked >= rawWindow || len(b.answers) > 0 {
			if err := b.take(ctx); err != nil {
				return err
			}
		}
	}
	if place != count {
		return fmt.Errorf("there were %d events instead of %d; does somebody else use this database?", place, count)
	}
	for !b.done {
		if err := b.take(ctx); err != nil {
			return err
		}
	}
	return nil
}

// take takes one answer of the server.
func (b *rawBatch) take(ctx context.Context) error {
	var msg *nats.Msg
	select {
	case msg = <-b.answers:
	case <-time.After(rawStall):
		return fmt.Errorf("no acknowledgement for %s", rawStall)
	case <-ctx.Done():
		return ctx.Err()
	}
	var answer struct {
		Type  string          `json:"type"`
		Seq   int             `json:"seq"`
		Count int             `json:"count"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return fmt.Errorf("the server answered %q: %w", msg.Data, err)
	}
	switch {
	case answer.Error != nil || bytes.Contains(msg.Data, []byte(`"type":"gap"`)):
		return errors.New("the server refused the batch: " + string(msg.Data))
	case answer.Type == "ack":
		b.acked = max(b.acked, answer.Seq)
	case answer.Count > 0:
		b.done = true
	}
	return nil
}

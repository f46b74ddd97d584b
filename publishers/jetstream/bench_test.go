package jetstream

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// The benchmarks publish batches of 4,096 events of 256 bytes with 500 keys, over TCP, to a server in this process with file storage.
// BenchmarkRaw* are the least that a program can do on the same server with the same protocol, headers and sizes.
const (
	benchBatch = 4096
	benchBytes = 256
	benchKeys  = 500
)

func benchEvents(b *testing.B, cfg Config, n int) []relay.Event {
	events := testEvents(cfg, n, benchKeys)
	for i := range events {
		events[i].Payload = bytes.Repeat([]byte("x"), benchBytes)
	}
	freshIDs(b, events)
	return events
}

// freshIDs makes new events of the same ones.
func freshIDs(b *testing.B, events []relay.Event) {
	for i := range events {
		_, err := rand.Read(events[i].EventID[:])
		require.NoError(b, err)
	}
}

func report(b *testing.B, events int, took time.Duration) {
	b.ReportMetric(float64(b.N*events)/took.Seconds(), "events/s")
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "us/batch")
}

// bench is a publisher with a batch of its own.
type bench struct {
	p      *Publisher
	events []relay.Event
}

func newBench(b *testing.B, fast bool, size int) *bench {
	s := shared(b)
	cfg := benchConfig(b, s)
	if !fast {
		cfg = keyedOnly(b, s, cfg)
	}
	p, _ := connect(b, cfg)
	return &bench{p, benchEvents(b, cfg, size)}
}

func benchConfig(b *testing.B, s *testServer) Config {
	cfg := configFor(b, s.url())
	cfg.StreamName = "bench-" + nuid.Next()
	cfg.Subjects = []string{"game." + cfg.StreamName + ".>"}
	return cfg
}

// publish publishes the batch once and returns how long that took.
func (x *bench) publish(b *testing.B) time.Duration {
	freshIDs(b, x.events)
	began := time.Now()
	outcomes, err := x.p.Publish(b.Context(), x.events)
	took := time.Since(began)
	if err != nil || !outcomes[len(outcomes)-1].Stored {
		b.Fatal(outcomes[len(outcomes)-1], err)
	}
	return took
}

func benchPublish(b *testing.B, fast bool, size int) {
	x := newBench(b, fast, size)
	var took time.Duration
	for b.Loop() {
		took += x.publish(b)
	}
	report(b, size, took)
}

func BenchmarkPublish(b *testing.B) {
	b.Run("fast/batch=4096", func(b *testing.B) { benchPublish(b, true, benchBatch) })
	b.Run("async/batch=4096", func(b *testing.B) { benchPublish(b, false, benchBatch) })
	b.Run("fast/batch=16", func(b *testing.B) { benchPublish(b, true, 16) })
	b.Run("async/batch=16", func(b *testing.B) { benchPublish(b, false, 16) })
	b.Run("batch=1", func(b *testing.B) { benchPublish(b, true, 1) })
}

// BenchmarkRatio takes turns with the raw limit, so that both see the same machine, and reports how the median batch of the one
// compares with the median batch of the other: 1 means that the publisher costs nothing.
func BenchmarkRatio(b *testing.B) {
	raw := newRaw(b)
	b.Run("fast", func(b *testing.B) { benchRatio(b, newBench(b, true, benchBatch), raw.fastIngest) })
	b.Run("async", func(b *testing.B) { benchRatio(b, newBench(b, false, benchBatch), raw.publishAsync) })
}

func benchRatio(b *testing.B, x *bench, raw func(*testing.B) time.Duration) {
	var ours, limit []time.Duration
	for b.Loop() {
		ours, limit = append(ours, x.publish(b)), append(limit, raw(b))
	}
	slices.Sort(ours)
	slices.Sort(limit)
	b.ReportMetric(benchBatch/ours[len(ours)/2].Seconds(), "events/s")
	b.ReportMetric(benchBatch/limit[len(limit)/2].Seconds(), "raw-events/s")
	b.ReportMetric(float64(limit[len(limit)/2])/float64(ours[len(ours)/2]), "ratio")
}

func benchRaw(b *testing.B, raw func(*testing.B) time.Duration, size int) {
	var took time.Duration
	for b.Loop() {
		took += raw(b)
	}
	report(b, size, took)
}

func BenchmarkRawFastIngest(b *testing.B)   { benchRaw(b, newRaw(b).fastIngest, benchBatch) }
func BenchmarkRawPublishAsync(b *testing.B) { benchRaw(b, newRaw(b).publishAsync, benchBatch) }
func BenchmarkRawRequest(b *testing.B)      { benchRaw(b, newRaw(b).request, 1) }

// raw is a stream, a connection and one message that is sent again and again with new ids.
type raw struct {
	nc      *nats.Conn
	js      jsapi.JetStream
	inbox   string
	answers chan *nats.Msg
	msg     nats.Msg
	id      []string
	calls   int
}

func newRaw(b *testing.B) *raw {
	s := shared(b)
	cfg := benchConfig(b, s)
	js := s.admin(nats.SkipSubjectValidation())
	_, err := js.CreateStream(b.Context(), cfg.stream(true))
	require.NoError(b, err)
	r := &raw{nc: js.Conn(), inbox: js.Conn().NewInbox(), answers: make(chan *nats.Msg, 2*benchBatch), id: make([]string, 1)}
	_, err = r.nc.ChanSubscribe(r.inbox+".>", r.answers)
	require.NoError(b, err)
	r.js, err = jsapi.New(r.nc, jsapi.WithPublishAsyncMaxPending(benchBatch))
	require.NoError(b, err)
	event := benchEvents(b, cfg, 1)[0]
	r.msg = *newEncoder().encode(&event, "")
	r.msg.Header[headerID] = r.id
	return r
}

// ids returns new ids, as long as those of events.
func (r *raw) ids(n int) []string {
	r.calls++
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%017d-%018d", r.calls, i)
	}
	return ids
}

// fastIngest is the fast ingest protocol without anything around it.
func (r *raw) fastIngest(b *testing.B) time.Duration {
	ids := r.ids(benchBatch)
	began := time.Now()
	prefix := r.inbox + "." + nuid.Next() + ".500.fail."
	for place := 1; place <= benchBatch; place++ {
		op := ".1.$FI"
		switch place {
		case 1:
			op = ".0.$FI"
		case benchBatch:
			op = ".2.$FI"
		}
		r.id[0] = ids[place-1]
		r.msg.Reply = prefix + strconv.Itoa(place) + op
		if err := r.nc.PublishMsg(&r.msg); err != nil {
			b.Fatal(err)
		}
	}
	for answer := range r.answers {
		if bytes.Contains(answer.Data, []byte(`"count":4096`)) {
			break
		}
	}
	return time.Since(began)
}

// publishAsync is the client library's own way to send without waiting.
func (r *raw) publishAsync(b *testing.B) time.Duration {
	ids := r.ids(benchBatch)
	began := time.Now()
	for _, id := range ids {
		r.id[0] = id
		msg := &nats.Msg{Subject: r.msg.Subject, Header: r.msg.Header, Data: r.msg.Data}
		if _, err := r.js.PublishMsgAsync(msg); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-r.js.PublishAsyncComplete():
	case <-time.After(patience):
		b.Fatal("not acknowledged")
	}
	return time.Since(began)
}

// request is one message and its acknowledgement.
func (r *raw) request(b *testing.B) time.Duration {
	r.id[0] = r.ids(1)[0]
	began := time.Now()
	r.msg.Reply = r.inbox + ".1"
	if err := r.nc.PublishMsg(&r.msg); err != nil {
		b.Fatal(err)
	}
	<-r.answers
	return time.Since(began)
}

package redisstream

import (
	"bytes"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/relay"
)

// The benchmarks publish batches of 4,096 events of 256 bytes with 500 keys, over TCP, to a server in a container that writes
// its append-only file once a second. The relay has accepted the state of the stream, so that each part asks for its mark. The raw
// clients are the least that a program can do, with arguments that were made before the clock starts; they look at nothing but errors:
//
//	script   the publisher's own script, which asks for no mark and no part before
//	least    on Redis 8.6 a pipeline of XADD IDMP; before, a script of three lines that does HSETNX and XADD for each event
const (
	benchBatch = 4096
	benchBytes = 256
	benchKeys  = 500
)

func benchEvents(n int) []relay.Event {
	events := testEvents(n, benchKeys)
	for i := range events {
		events[i].Payload = bytes.Repeat([]byte("x"), benchBytes)
		events[i].Headers = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	}
	return events
}

func benchConfig(b *testing.B, version string) Config {
	return configFor(b, start(b, version, "--appendfsync", "everysec").URL)
}

// bench is a publisher with a batch of its own, and a raw client of the same server with another stream.
type bench struct {
	p      *Publisher
	raw    *redis.Client
	rawKey Config
	events []relay.Event
}

func newBench(b *testing.B, version string, size int) *bench {
	cfg := benchConfig(b, version)
	p, _ := connect(b, cfg)
	state, err := p.Inspect(b.Context())
	require.NoError(b, err)
	p.Accept(state)
	other := configFor(b, cfgURL(cfg))
	_, _ = connect(b, other) // loads the script and makes the stream
	return &bench{p: p, raw: admin(b, other), rawKey: other, events: benchEvents(size)}
}

func cfgURL(cfg Config) string { return "redis://" + cfg.addresses()[0] }

func (x *bench) fresh() {
	for i := range x.events {
		freshID(&x.events[i])
	}
}

// publish publishes the batch once and returns how long that took.
func (x *bench) publish(b *testing.B) time.Duration {
	x.fresh()
	began := time.Now()
	outcomes, err := x.p.Publish(b.Context(), x.events)
	took := time.Since(began)
	if err != nil || !outcomes[len(outcomes)-1].Stored {
		b.Fatal(outcomes[len(outcomes)-1], err)
	}
	return took
}

// leastScript is the shortest script by which a server without IDMP adds each event once.
var leastScript = redis.NewScript(`for i = 1, #ARGV, 7 do
	if redis.call('HSETNX', KEYS[2], ARGV[i], '') == 1 then redis.call('XADD', KEYS[1], '*', 'event_id', ARGV[i], 'subject', ARGV[i + 1],
		'key', ARGV[i + 2], 'headers', ARGV[i + 3], 'payload', ARGV[i + 4], 'created_at', ARGV[i + 5], 'seq', ARGV[i + 6]) end
end
return 1`)

// bare is a raw client's way to add a batch: it queues what is to be sent.
type bare func(b *testing.B, x *bench, pipe redis.Pipeliner)

func rawScript(b *testing.B, x *bench, pipe redis.Pipeliner) {
	m := x.p.session.server.Load().mode
	s := &session{cfg: x.rawKey, id: "bare"}
	for part := range slices.Chunk(x.events, partEvents) {
		args := []any{"EVALSHA", m.sha, len(m.keys) + 1}
		for _, key := range s.keys(m, "") {
			args = append(args, key)
		}
		args = append(args, s.limits(order{})...)
		for i := range part {
			args = append(args, rawFields(b, &part[i])...)
		}
		pipe.Do(b.Context(), args...)
	}
}

func rawLeast(b *testing.B, x *bench, pipe redis.Pipeliner) {
	if x.p.session.server.Load().mode.name == idmpMode.name {
		names := []string{"event_id", "subject", "key", "headers", "payload", "created_at", "seq"}
		for i := range x.events {
			id := x.events[i].EventID.String()
			args := []any{"XADD", x.rawKey.Stream, "IDMP", id[:2], id, "*"}
			for n, value := range rawFields(b, &x.events[i]) {
				args = append(args, names[n], value)
			}
			pipe.Do(b.Context(), args...)
		}
		return
	}
	for part := range slices.Chunk(x.events, partEvents) {
		args := []any{"EVALSHA", leastScript.Hash(), 2, x.rawKey.Stream, besides(x.rawKey.Stream, ":bare")}
		for i := range part {
			args = append(args, rawFields(b, &part[i])...)
		}
		pipe.Do(b.Context(), args...)
	}
}

func rawFields(b *testing.B, e *relay.Event) []any {
	headers, err := headersOf(e).(*headersArg).MarshalBinary()
	require.NoError(b, err)
	return []any{e.EventID.String(), e.Subject, e.Key, headers, e.Payload, e.CreatedAt.Format(createdLayout), strconv.FormatInt(e.ID, 10)}
}

// bare publishes the batch with a raw client, and returns how long that took.
func (x *bench) bare(b *testing.B, queue bare) time.Duration {
	x.fresh()
	pipe := x.raw.Pipeline()
	queue(b, x, pipe)
	began := time.Now()
	if _, err := pipe.Exec(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func BenchmarkPublish(b *testing.B) {
	for _, version := range []string{"8.0", "8.6"} {
		for _, size := range []int{benchBatch, 16, 1} {
			b.Run(version+"/batch="+strconv.Itoa(size), func(b *testing.B) {
				x := newBench(b, version, size)
				var took time.Duration
				for b.Loop() {
					took += x.publish(b)
				}
				b.ReportMetric(float64(b.N*size)/took.Seconds(), "events/s")
				b.ReportMetric(float64(took.Microseconds())/float64(b.N), "us/batch")
			})
		}
	}
}

// BenchmarkRatio takes turns with a raw client, so that both see the same machine, and reports how the median batch of the one
// compares with the median batch of the other: 1 means that the publisher costs nothing.
func BenchmarkRatio(b *testing.B) {
	for _, version := range []string{"8.0", "8.6"} {
		for raw, queue := range map[string]bare{"script": rawScript, "least": rawLeast} {
			b.Run(version+"/"+raw, func(b *testing.B) {
				x := newBench(b, version, benchBatch)
				require.NoError(b, leastScript.Load(b.Context(), x.raw).Err())
				var ours, limit []time.Duration
				for b.Loop() {
					ours, limit = append(ours, x.publish(b)), append(limit, x.bare(b, queue))
				}
				slices.Sort(ours)
				slices.Sort(limit)
				b.ReportMetric(benchBatch/ours[len(ours)/2].Seconds(), "events/s")
				b.ReportMetric(benchBatch/limit[len(limit)/2].Seconds(), "raw-events/s")
				b.ReportMetric(float64(limit[len(limit)/2])/float64(ours[len(ours)/2]), "ratio")
			})
		}
	}
}

package jetstream

import (
	"testing"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	want := DefaultConfig()
	require.Empty(t, differences(want.stream(true), want, true), "a stream of our own has none")
	require.Empty(t, differences(want.stream(false), want, false), "an old server cannot do better")
	for line, change := range map[string]func(*streamConfig){
		`subjects: have [game.a game.b], want [game.>] (nats stream edit game-events --subjects='game.>' --force)`: func(c *streamConfig) {
			c.Subjects = []string{"game.a", "game.b"}
		},
		`replicas: have 3, want 1 (nats stream edit game-events --replicas=1 --force)`: func(c *streamConfig) { c.Replicas = 3 },
		`storage: have memory, want file (it cannot be changed; copy the events to a new stream)`: func(c *streamConfig) {
			c.Storage = jsapi.MemoryStorage
		},
		`duplicate_window: have 1m0s, want 2m0s (nats stream edit game-events --dupe-window=2m --force)`: func(c *streamConfig) {
			c.Duplicates = time.Minute
		},
		`max_age: have 1h0m0s, want 0s (nats stream edit game-events --max-age=0s --force)`: func(c *streamConfig) { c.MaxAge = time.Hour },
		`max_msg_size: have 1000, want 1114112 (nats stream edit game-events --max-msg-size=1114112 --force)`: func(c *streamConfig) {
			c.MaxMsgSize = 1000
		},
		`retention: have interest, want limits (nats stream edit game-events --retention=limits --force)`: func(c *streamConfig) {
			c.Retention = jsapi.InterestPolicy
		},
		`discard: have old, want new (nats stream edit game-events --discard=new --force)`: func(c *streamConfig) {
			c.Discard, c.MaxMsgs = jsapi.DiscardOld, 100
		},
		`max_msgs_per_subject: have 5, want no limit (nats stream edit game-events --max-msgs-per-subject=-1 --force)`: func(c *streamConfig) {
			c.MaxMsgsPerSubject = 5
		},
		`max_consumers: have 1, want no limit (nats stream edit game-events --max-consumers=-1 --force)`: func(c *streamConfig) {
			c.MaxConsumers = 1
		},
		`subject_transform: have set, want none (nats stream edit game-events --no-transform --force)`: func(c *streamConfig) {
			c.SubjectTransform = &jsapi.SubjectTransformConfig{Source: "game.>", Destination: "x.>"}
		},
		`allow_batched: have false, want true (nats stream edit game-events --allow-fast --force)`: func(c *streamConfig) { c.AllowBatchPublish = false },
	} {
		have := want.stream(true)
		change(&have)
		found := differences(have, want, true)
		require.Len(t, found, 1, line)
		require.Equal(t, line, found[0].String())
	}
	harmless := want.stream(true)
	harmless.Subjects = []string{">"}
	harmless.Duplicates = time.Hour
	harmless.MaxMsgSize = 8 << 20
	harmless.Discard = jsapi.DiscardOld // without a limit nothing is discarded
	require.Empty(t, differences(harmless, want, true))
}

func TestUnfitStreams(t *testing.T) {
	t.Parallel()
	require.NoError(t, unfit(DefaultConfig().stream(true)))
	for word, have := range map[string]jsapi.StreamConfig{
		"sealed":            {Name: "S", Sealed: true},
		"no_ack":            {Name: "S", NoAck: true},
		"mirror":            {Name: "S", Mirror: &jsapi.StreamSource{Name: "T"}},
		"allow_msg_counter": {Name: "S", AllowMsgCounter: true},
	} {
		requireMisconfigured(t, unfit(have), word, `"S"`, "mq.stream_name")
	}
}

func TestAddCommand(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	require.Equal(t, `nats stream add game-events --subjects='game.>' --storage=file --replicas=1 --dupe-window=2m --discard=new `+
		`--allow-fast --defaults`, cfg.addCommand())
	cfg.Domain = "hub"
	require.Contains(t, cfg.addCommand(), "nats --js-domain=hub stream add game-events ")
	cfg.Domain, cfg.APIPrefix = "", "JS.hub.API"
	require.Equal(t, "nats --js-api-prefix=JS.hub.API stream edit s --x --force", cfg.cli().edit("s", "--x"))
	cfg.MaxAge, cfg.MaxBytes = 48*time.Hour, 1<<30
	require.Contains(t, cfg.addCommand(), " --max-age=48h --max-bytes=1073741824")
}

func TestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", 2 * time.Minute: "2m", 24 * time.Hour: "24h", time.Hour + time.Second: "1h0m1s",
		time.Hour + time.Minute: "1h1m",
	} {
		require.Equal(t, want, short(d))
	}
}

func TestKnowsFastIngest(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"2.14.0": true, "2.15.2": true, "2.14.0-RC.1": true, "3.0.0": true, "2.13.9": false, "2.9.0": false, "1.20.0": false, "": false, "dev": false,
	} {
		require.Equal(t, want, knowsFastIngest(version), version)
	}
}

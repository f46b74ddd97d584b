package jetstream

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	jsapi "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/relay"
)

// roomyPayload is what a server must take so that every event fits: 1 MiB of payload, which is the most that Postgres takes,
// and 64 KiB of headers, which is the most that a server takes.
const roomyPayload = 1<<20 + 64<<10

// stream returns how the stream is created. A full stream refuses events instead of dropping the oldest, so that they wait in
// Postgres.
func (c Config) stream(fast bool) jsapi.StreamConfig {
	storage := jsapi.FileStorage
	if c.Storage == "memory" {
		storage = jsapi.MemoryStorage
	}
	return jsapi.StreamConfig{
		Name:              c.StreamName,
		Subjects:          c.Subjects,
		Retention:         jsapi.LimitsPolicy,
		Discard:           jsapi.DiscardNew,
		Storage:           storage,
		Replicas:          c.Replicas,
		Duplicates:        c.DuplicateWindow,
		MaxAge:            c.MaxAge,
		MaxBytes:          unlimited(c.MaxBytes),
		MaxMsgs:           -1,
		MaxMsgsPerSubject: -1,
		AllowDirect:       true,
		AllowBatchPublish: fast,
	}
}

// unlimited translates our 0 to the server's -1.
func unlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// addCommand returns the command that creates the stream as [Config.stream] does.
func (c Config) addCommand() string {
	command := fmt.Sprintf("%s stream add %s %s --storage=%s --replicas=%d --dupe-window=%s --discard=new --allow-fast --defaults",
		c.cli(), shell(c.StreamName), subjectsFlag(c.Subjects), c.Storage, c.Replicas, short(c.DuplicateWindow))
	if c.MaxAge > 0 {
		command += " --max-age=" + short(c.MaxAge)
	}
	if c.MaxBytes > 0 {
		command += " --max-bytes=" + strconv.FormatInt(c.MaxBytes, 10)
	}
	return command
}

// unfit returns an error for a stream that cannot take events at all.
func unfit(have jsapi.StreamConfig) error {
	var why string
	switch {
	case have.Sealed:
		why = "is sealed and takes no events"
	case have.NoAck:
		why = "acknowledges nothing (no_ack), so that no event could ever be settled"
	case have.Mirror != nil:
		why = "is a mirror and takes no events"
	case have.AllowMsgCounter:
		why = "counts instead of storing events (allow_msg_counter)"
	default:
		return nil
	}
	return fmt.Errorf("%w: stream %q %s; set mq.stream_name to another stream", relay.ErrMisconfigured, have.Name, why)
}

// difference is a setting of a stream that is not what the configuration says or what the relay needs.
type difference struct {
	setting string
	have    any
	want    any
	change  string // the flag of nats stream edit, or words
	stream  string
	cli     cli
}

// String is one line for an operator.
func (d difference) String() string {
	how := d.change
	if strings.HasPrefix(how, "--") {
		how = d.cli.edit(d.stream, d.change)
	}
	return fmt.Sprintf("%s: have %v, want %v (%s)", d.setting, d.have, d.want, how)
}

// differences compares a stream with the configuration. fast says that the server knows fast ingest.
func differences(have jsapi.StreamConfig, want Config, fast bool) []difference {
	var found []difference
	check := func(ok bool, d difference) {
		if d.stream, d.cli = have.Name, want.cli(); !ok {
			found = append(found, d)
		}
	}
	check(coversAll(have.Subjects, want.Subjects), difference{setting: "subjects", have: have.Subjects, want: want.Subjects,
		change: subjectsFlag(want.Subjects)})
	check(have.Replicas == want.Replicas, difference{setting: "replicas", have: have.Replicas, want: want.Replicas,
		change: "--replicas=" + strconv.Itoa(want.Replicas)})
	check(have.Storage == want.stream(fast).Storage, difference{setting: "storage", have: storageName(have.Storage), want: want.Storage,
		change: "it cannot be changed; copy the events to a new stream"})
	check(have.Duplicates >= want.DuplicateWindow, difference{setting: "duplicate_window", have: have.Duplicates,
		want: want.DuplicateWindow, change: "--dupe-window=" + short(want.DuplicateWindow)})
	check(have.MaxAge == 0 || want.MaxAge != 0 && have.MaxAge >= want.MaxAge, difference{setting: "max_age", have: have.MaxAge,
		want: want.MaxAge, change: "--max-age=" + short(want.MaxAge)})
	check(have.MaxMsgSize <= 0 || have.MaxMsgSize >= roomyPayload, difference{setting: "max_msg_size", have: have.MaxMsgSize,
		want: roomyPayload, change: "--max-msg-size=" + strconv.Itoa(roomyPayload)})
	check(have.Retention == jsapi.LimitsPolicy, difference{setting: "retention", have: retentionName(have.Retention), want: "limits",
		change: "--retention=limits"})
	check(!dropsOldest(have), difference{setting: "discard", have: "old", want: "new", change: "--discard=new"})
	check(!dropsPerSubject(have), difference{setting: "max_msgs_per_subject",
		have: have.MaxMsgsPerSubject, want: "no limit", change: "--max-msgs-per-subject=-1"})
	check(have.MaxConsumers <= 0, difference{setting: "max_consumers", have: have.MaxConsumers, want: "no limit",
		change: "--max-consumers=-1"})
	check(have.SubjectTransform == nil, difference{setting: "subject_transform", have: "set", want: "none", change: "--no-transform"})
	check(have.AllowBatchPublish || !fast, difference{setting: "allow_batched", have: false, want: true, change: "--allow-fast"})
	return found
}

// dropsOldest tells whether a full stream loses events.
func dropsOldest(have jsapi.StreamConfig) bool {
	return have.Discard == jsapi.DiscardOld && (have.MaxMsgs > 0 || have.MaxBytes > 0)
}

func coversAll(have patterns, want []string) bool {
	for _, subject := range want {
		if !have.cover(subject) {
			return false
		}
	}
	return true
}

func storageName(s jsapi.StorageType) string       { return strings.ToLower(s.String()) }
func retentionName(r jsapi.RetentionPolicy) string { return strings.ToLower(r.String()) }

// short writes a duration as the nats command takes it: 2m rather than 2m0s.
func short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

package jetstream

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/outbox"
	"github.com/gameoutbox/relay/relay"
)

// Inspect implements [relay.Ledger].
func (p *Publisher) Inspect(ctx context.Context) (relay.StreamState, error) {
	l, err := p.ready(ctx)
	if err != nil {
		return relay.StreamState{}, err
	}
	info, err := l.lookAt(ctx)
	if err != nil {
		return relay.StreamState{}, err
	}
	fresh := l.newTarget(info, l.target.fast)
	if fresh.maxEvent != l.target.maxEvent {
		l.invalidate() // what was refused for its size may be taken now, and the other way round
	}
	return fresh.state, nil
}

// Accept implements [relay.Ledger].
func (p *Publisher) Accept(state relay.StreamState) {
	p.baseline.accept(state)
	p.lookAgain.Store(true)
}

// catchUp is for how long the leader of a replicated stream may describe an older one. A server
// before 2.11 takes the lead before it has applied what the servers have agreed on, which it does
// when enough of them answer. Where they do not it gives the lead back, after 10 s of silence that
// it looks for every 10 s (lostQuorumInterval and lostQuorumCheck in nats-server's raft.go). Newer
// ones catch up first (aflr there), but the leader may be another server than the one whose version
// we know.
const catchUp = 25 * time.Second

// stateOf returns what the relay needs to know of a stream.
func (s *session) stateOf(info *jsapi.StreamInfo) relay.StreamState {
	room := roomOf(info, s.nc.MaxPayload())
	state := relay.StreamState{
		Stream:          info.Config.Name,
		Incarnation:     info.Created.UTC().Format(time.RFC3339Nano),
		First:           info.State.FirstSeq,
		Last:            info.State.LastSeq,
		Expires:         expires(info.Config),
		KeepsUntil:      keepsUntil(info, room),
		Room:            room,
		Anywhere:        removesAnywhere(info.Config),
		MaxAge:          info.Config.MaxAge,
		DuplicateWindow: info.Config.Duplicates,
	}
	if info.Config.Replicas > 1 && info.Cluster != nil {
		state.Leader, state.CatchUp = info.Cluster.Leader, catchUp
	}
	return state
}

// expires says which settings of a stream remove events by themselves, other than max_age, which is
// told by the age of an event.
func expires(cfg jsapi.StreamConfig) string {
	var by []string
	note := func(removes bool, format string, args ...any) {
		if removes {
			by = append(by, fmt.Sprintf(format, args...))
		}
	}
	old := cfg.Discard == jsapi.DiscardOld
	note(cfg.Retention != jsapi.LimitsPolicy, "consumers remove events (retention %s)", retentionName(cfg.Retention))
	note(old && cfg.MaxBytes > 0, "max_bytes is %d", cfg.MaxBytes)
	note(old && cfg.MaxMsgs > 0, "max_msgs is %d", cfg.MaxMsgs)
	note(dropsPerSubject(cfg), "max_msgs_per_subject is %d", cfg.MaxMsgsPerSubject)
	note(cfg.AllowRollup, "publishers may remove what came before (allow_rollup_hdrs)")
	note(cfg.AllowMsgTTL, "messages may have an age limit of their own (allow_msg_ttl)")
	return strings.Join(by, ", ")
}

// dropsPerSubject tells whether a stream removes the oldest messages of a subject.
func dropsPerSubject(cfg jsapi.StreamConfig) bool {
	return cfg.MaxMsgsPerSubject > 0 && (cfg.Discard == jsapi.DiscardOld || !cfg.DiscardNewPerSubject)
}

// removesAnywhere tells whether a stream removes messages between others that it keeps.
func removesAnywhere(cfg jsapi.StreamConfig) bool {
	return cfg.Retention != jsapi.LimitsPolicy || dropsPerSubject(cfg) || cfg.AllowRollup || cfg.AllowMsgTTL
}

// storedMore is more than a server adds to the size of a message: the subject and the record around it.
const storedMore = maxControlLine + 64

// roomOf returns how many more messages fit into a stream whatever their size, of servers that take maxPayload.
func roomOf(info *jsapi.StreamInfo, maxPayload int64) uint64 {
	cfg, state := info.Config, info.State
	if cfg.MaxMsgSize > 0 {
		maxPayload = int64(cfg.MaxMsgSize)
	}
	room := int64(math.MaxInt64)
	if cfg.MaxMsgs > 0 {
		room = min(room, cfg.MaxMsgs-int64(state.Msgs))
	}
	if cfg.MaxBytes > 0 {
		room = min(room, (cfg.MaxBytes-int64(state.Bytes))/(maxPayload+storedMore))
	}
	return uint64(max(0, room))
}

// keepsUntil returns the sequence up to which a stream with that room removes nothing by itself,
// see [relay.StreamState].
func keepsUntil(info *jsapi.StreamInfo, room uint64) uint64 {
	switch {
	case removesAnywhere(info.Config):
		return 0
	case !dropsOldest(info.Config):
		return math.MaxInt64
	}
	return min(info.State.LastSeq+room, math.MaxInt64)
}

// stored is a message as a stream holds it.
type stored struct {
	sequence uint64
	at       time.Time
	subject  string
	header   nats.Header
	data     []byte
}

// take hands a message on if it is an event of the relay's within the scan.
func take(msg stored, scan relay.Scan, found func(relay.StoredEvent) error) error {
	if event, ours := msg.event(); ours && msg.sequence >= scan.First && !msg.at.Before(scan.Since) {
		return found(event)
	}
	return nil
}

// event reads an event as the encoder wrote it; ours is false for what others have stored.
func (m stored) event() (event relay.StoredEvent, ours bool) {
	eventID, err := outbox.ParseID(m.header.Get(headerID))
	if err != nil {
		return event, false
	}
	id, err := strconv.ParseInt(m.header.Get(headerSeq), 10, 64)
	if err != nil {
		return event, false
	}
	event = relay.StoredEvent{
		Sequence: m.sequence, ID: id, EventID: eventID, Subject: m.subject, Key: m.header.Get(headerKey),
		Payload: m.data, StoredAt: m.at,
	}
	if created, err := time.Parse(time.RFC3339Nano, m.header.Get(headerCreated)); err == nil {
		event.CreatedAt = created
	}
	for name, values := range m.header {
		if !reserved(name) && len(values) > 0 {
			if event.Headers == nil {
				event.Headers = map[string]string{}
			}
			event.Headers[name] = values[0]
		}
	}
	return event, true
}

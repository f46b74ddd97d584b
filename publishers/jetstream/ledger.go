package jetstream

import (
	"context"
	"fmt"
	"strconv"
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
	if fresh := l.cfg.newTarget(info, l.target.fast); fresh.maxEvent != l.target.maxEvent {
		l.invalidate() // what was refused for its size may be taken now, and the other way round
	}
	return stateOf(info), nil
}

// Accept implements [relay.Ledger].
func (p *Publisher) Accept(state relay.StreamState) {
	p.baseline.accept(state)
	p.lookAgain.Store(true)
}

// catchUp is for how long the leader of a replicated stream may describe an older one. A server before 2.11 takes the lead before it has
// applied what the servers have agreed on, which it does when enough of them answer. Where they do not it gives the lead back, after
// 10 s of silence that it looks for every 10 s (lostQuorumInterval and lostQuorumCheck in nats-server's raft.go). Newer ones
// catch up first (aflr there), but the leader may be another server than the one whose version we know.
const catchUp = 25 * time.Second

// stateOf returns what the relay needs to know of a stream.
func stateOf(info *jsapi.StreamInfo) relay.StreamState {
	state := relay.StreamState{
		Stream:          info.Config.Name,
		Incarnation:     info.Created.UTC().Format(time.RFC3339Nano),
		First:           info.State.FirstSeq,
		Last:            info.State.LastSeq,
		Expires:         expires(info),
		Anywhere:        removesAnywhere(info.Config),
		MaxAge:          info.Config.MaxAge,
		DuplicateWindow: info.Config.Duplicates,
	}
	if info.Config.Replicas > 1 && info.Cluster != nil {
		state.Leader, state.CatchUp = info.Cluster.Leader, catchUp
	}
	return state
}

// expires says which setting of a stream may have removed its first events. A limit of size removes only while it is reached; what
// max_age removes is told by its age.
func expires(info *jsapi.StreamInfo) string {
	const reached = 0.9 // what was removed last may have been large
	cfg, state := info.Config, info.State
	drops := cfg.Discard == jsapi.DiscardOld
	switch {
	case cfg.Retention != jsapi.LimitsPolicy:
		return "consumers remove events (retention " + retentionName(cfg.Retention) + ")"
	case drops && cfg.MaxBytes > 0 && float64(state.Bytes) >= reached*float64(cfg.MaxBytes):
		return fmt.Sprintf("max_bytes %d is reached", cfg.MaxBytes)
	case drops && cfg.MaxMsgs > 0 && float64(state.Msgs) >= reached*float64(cfg.MaxMsgs):
		return fmt.Sprintf("max_msgs %d is reached", cfg.MaxMsgs)
	case cfg.MaxMsgsPerSubject > 0:
		return fmt.Sprintf("max_msgs_per_subject is %d", cfg.MaxMsgsPerSubject)
	case cfg.AllowRollup:
		return "publishers may remove what came before (allow_rollup_hdrs)"
	case cfg.AllowMsgTTL:
		return "messages may have an age limit of their own (allow_msg_ttl)"
	}
	return ""
}

// removesAnywhere tells whether a stream removes messages between others that it keeps.
func removesAnywhere(cfg jsapi.StreamConfig) bool {
	return cfg.Retention != jsapi.LimitsPolicy || cfg.MaxMsgsPerSubject > 0 || cfg.AllowRollup || cfg.AllowMsgTTL
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

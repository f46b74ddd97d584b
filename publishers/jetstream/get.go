package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	jsapi "github.com/nats-io/nats.go/jetstream"

	"github.com/gameoutbox/relay/relay"
)

const (
	// getWindow and getBytes bound the messages that are asked for at once, by their number and by what they weigh on average.
	getWindow = 64
	getBytes  = 4 << 20
	// codeNoMessage is the server's answer where there is no message.
	codeNoMessage = 10037
)

// getter asks the leader of a stream for messages by their sequences, several at once. The answers hold a message as data, so no
// header of it is taken for a word of the server.
type getter struct {
	link    *link
	subject string // of requests
	window  uint64
	inbox   string
	answers chan *nats.Msg
	sub     *nats.Subscription
}

// getRange reads a part of a stream without a consumer.
func (l *link) getRange(ctx context.Context, stream jsapi.Stream, scan relay.Scan, take func(stored) error) error {
	ctx, unwatch := l.watchDenied(ctx)
	defer unwatch()
	state := stream.CachedInfo().State
	get := newGetter(l, state)
	var err error
	if get.sub, err = l.nc.ChanSubscribe(get.inbox+".*", get.answers); err != nil {
		return l.explainScan(ctx, err)
	}
	defer get.sub.Unsubscribe() //nolint:errcheck // a connection that is gone has no subscriptions
	at, err := get.start(ctx, max(scan.First, state.FirstSeq, 1), scan)
	for err == nil && at <= scan.Last {
		at, err = get.pass(ctx, at, scan.Last, take)
	}
	return err
}

func newGetter(l *link, state jsapi.StreamState) *getter {
	window := uint64(getWindow)
	if state.Msgs > 0 {
		average := state.Bytes/state.Msgs + 1
		window = max(1, min(window, getBytes/average))
	}
	return &getter{
		link: l, subject: l.cfg.apiPrefix() + ".STREAM.MSG.GET." + l.cfg.StreamName, window: window,
		inbox: l.nc.NewInbox(), answers: make(chan *nats.Msg, getWindow),
	}
}

// pass hands on what one window holds that begins at a sequence, and returns where the next one begins.
func (g *getter) pass(ctx context.Context, at, last uint64, take func(stored) error) (next uint64, err error) {
	end := min(at+g.window-1, last)
	messages, err := g.get(ctx, at, end)
	if err != nil {
		return 0, err
	}
	held := false
	for _, message := range messages {
		if message == nil {
			continue
		}
		held = true
		if err := take(*message); err != nil {
			return 0, err
		}
	}
	if held || end == last {
		return end + 1, nil
	}
	message, err := g.next(ctx, end+1) // many may be missing in a row
	if err != nil || message == nil {
		return last + 1, err
	}
	return message.sequence, nil
}

// get returns the messages from one sequence to another, nil for each that the stream does not hold.
func (g *getter) get(ctx context.Context, first, last uint64) ([]*stored, error) {
	for at := first; at <= last; at++ {
		if err := g.request(at, fmt.Appendf(nil, `{"seq":%d}`, at)); err != nil {
			return nil, g.link.explainScan(ctx, err)
		}
	}
	messages, answered := make([]*stored, last-first+1), make([]bool, last-first+1)
	for left := len(messages); left > 0; {
		at, message, err := g.answer(ctx)
		if err != nil {
			return nil, err
		}
		if at < first || at > last || answered[at-first] {
			continue // to no request that is open
		}
		if message != nil && message.sequence != at {
			return nil, g.link.unreadable(fmt.Errorf("asked for sequence %d, got %d", at, message.sequence))
		}
		messages[at-first], answered[at-first] = message, true
		left--
	}
	return messages, nil
}

// next returns the first message that the stream holds at a sequence or after it, or nil.
func (g *getter) next(ctx context.Context, at uint64) (*stored, error) {
	if err := g.request(at, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, at)); err != nil {
		return nil, g.link.explainScan(ctx, err)
	}
	for {
		to, message, err := g.answer(ctx)
		switch {
		case err != nil:
			return nil, err
		case to != at: // to no request that is open
		case message != nil && message.sequence < at:
			return nil, g.link.unreadable(fmt.Errorf("asked for sequence %d or a later one, got %d", at, message.sequence))
		default:
			return message, nil
		}
	}
}

// start returns the first sequence, at or after one, whose message is not too old for the scan.
func (g *getter) start(ctx context.Context, first uint64, scan relay.Scan) (uint64, error) {
	if scan.Since.IsZero() {
		return first, nil
	}
	for last := scan.Last + 1; first < last; {
		middle := first + (last-first)/2
		message, err := g.next(ctx, middle)
		switch {
		case err != nil:
			return 0, err
		case message != nil && message.at.Before(scan.Since):
			first = max(middle, message.sequence) + 1
		default:
			last = middle
		}
	}
	return first, nil
}

func (g *getter) request(at uint64, body []byte) error {
	return g.link.nc.PublishRequest(g.subject, g.inbox+"."+strconv.FormatUint(at, 10), body)
}

// answer waits for one answer, and returns which request it belongs to. The message is nil where the stream holds none.
func (g *getter) answer(ctx context.Context) (at uint64, message *stored, err error) {
	msg, err := g.link.await(ctx, g.answers)
	if err != nil {
		return 0, nil, err
	}
	at, err = strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 10, 64)
	if err != nil {
		return 0, nil, g.link.unreadable(err)
	}
	message, err = g.link.parseGot(msg.Data)
	return at, message, err
}

// parseGot reads an answer to a request for a message.
func (l *link) parseGot(data []byte) (*stored, error) {
	var got struct {
		Error   *apiError `json:"error"`
		Message *struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	err := json.Unmarshal(data, &got)
	switch {
	case err != nil:
		return nil, l.unreadable(err)
	case got.Error != nil && got.Error.Code == codeNoMessage:
		return nil, nil //nolint:nilnil // there is none
	case got.Error != nil:
		return nil, l.explainRefusal(got.Error, got.Error.Code)
	case got.Message == nil:
		return nil, l.unreadable(fmt.Errorf("an answer without a message: %.100q", data))
	}
	m := got.Message
	message := &stored{sequence: m.Seq, at: m.Time, subject: m.Subject, data: m.Data}
	if len(m.Header) > 0 {
		if message.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, l.unreadable(fmt.Errorf("read the headers of sequence %d: %w", m.Seq, err))
		}
	}
	return message, nil
}

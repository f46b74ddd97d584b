package redisstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/gameoutbox/relay/relay"
)

// call is one Publish. It sends in rounds: an event that the server refuses ends the round, its outcome is noted, and the next
// round goes on with the events that are left. Each round decides at least one event, or ends the call.
type call struct {
	session  *session
	events   []relay.Event
	outcomes []relay.Outcome
	decided  []bool         // stored or refused
	held     map[string]int // by key, the refused event: no later one may be stored in this call
	reloaded bool           // the script was loaded again
	refusals int            // of events, for a reason of their own

	baseline *baseline
	holds    bool // nothing of a key is stored behind an event that was refused for good either
}

// maxRefusals is how many events a server may refuse in a call before it is the server that is at fault.
const maxRefusals = 8

func newCall(s *session, b *baseline, events []relay.Event, outcomes []relay.Outcome) *call {
	return &call{
		session: s, baseline: b, events: events, outcomes: outcomes,
		decided: make([]bool, len(events)), held: map[string]int{},
	}
}

// send publishes until every event is decided or held, or the server cannot go on.
func (c *call) send(ctx context.Context) error {
	known := c.session.server.Load()
	c.refuseBad(known)
	primary, err := c.session.sender.primary(ctx)
	if err != nil {
		return c.session.explain(ctx, err)
	}
	for {
		left, err := c.round(ctx, primary, known)
		if err != nil || !left {
			return err
		}
	}
}

// refuseBad finds the events that the server would answer by breaking the connection, and those
// whose headers JetStream could not have, where they may go yet. Where such an event holds its key,
// the later ones are not looked at.
func (c *call) refuseBad(known *server) {
	for i := range c.events {
		event := &c.events[i]
		if _, held := c.held[event.Key]; held {
			continue
		}
		if err := relay.CheckHeaders(event.Headers); err != nil {
			c.refuse(i, c.holds, err)
			continue
		}
		if largest := max(len(event.Payload), headersSize(event)); largest > known.maxValue {
			c.refuse(i, c.holds, &relay.PermanentError{Reason: relay.ReasonTooLarge, Err: fmt.Errorf(
				"a value of %d bytes, and the server takes %d; raise its proto-max-bulk-len", largest, known.maxValue)})
		}
	}
}

// refuse notes why an event is not stored. If it holds its key, the later events of the key are not sent.
func (c *call) refuse(i int, holds bool, err error) {
	c.outcomes[i].Err, c.decided[i] = err, true
	if key := c.events[i].Key; holds && key != "" {
		c.held[key] = i
	}
}

// round sends windows until all events are decided or held. It ends early where the server does not store a window as a whole, and reports
// that events are left, or why the server cannot go on. While the server works on a window the next is made, and while it works on that, the
// answers of the one before are read.
func (c *call) round(ctx context.Context, primary *redis.Client, known *server) (left bool, err error) {
	window := func(from int, after string) *window { return c.window(ctx, primary, known, from, after) }
	for sent := window(0, "").send(ctx); sent != nil; {
		next := window(sent.to, sent.done)
		if sent.await() {
			next.send(ctx)
		}
		replies, refusal, err := c.collect(sent)
		if err == nil && refusal == nil {
			sent = next
			continue
		}
		next.await() // it was sent if only replicas are missing
		if err != nil {
			return false, c.explain(ctx, err)
		}
		return true, c.refused(ctx, primary, known, sent.parts, replies, refusal)
	}
	return false, nil
}

// collect reads the answers to a window and takes what they say.
func (c *call) collect(w *window) (replies []reply, refusal *serverError, err error) {
	replies, refusal, err = read(w.parts, w.sent, lost(w.err, w.sent, w.wait))
	if err == nil {
		err = w.wait.err()
	}
	if err == nil || !w.wait.asked() {
		c.take(w.parts, replies)
	}
	return replies, refusal, err
}

// lost returns why a window has not all its answers, or nil if each command has one, which may be a refusal.
func lost(err error, sent []*redis.StringCmd, wait wait) error {
	if err == nil {
		return nil
	}
	refused := false
	for _, answer := range append([]error{wait.answer()}, failures(sent)...) {
		if answer != nil && !isAnswer(answer) {
			return answer
		}
		refused = refused || answer != nil
	}
	if refused {
		return nil
	}
	return err // the server refused the connection, which the library does not note in the commands
}

func failures(sent []*redis.StringCmd) []error {
	errs := make([]error, len(sent))
	for n, cmd := range sent {
		errs[n] = cmd.Err()
	}
	return errs
}

// isAnswer tells whether an error is what a server answered to a command.
func isAnswer(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// read reads the answers up to the first that is missing or tells of a failure. lost is why one may be missing.
func read(parts []part, sent []*redis.StringCmd, lost error) (replies []reply, refusal *serverError, err error) {
	for n, cmd := range sent {
		switch err := cmd.Err(); {
		case err != nil && isAnswer(err):
			return replies, newServerError(err.Error()), lost
		case err != nil || lost != nil && cmd.Val() == "":
			return replies, nil, lost
		}
		answer, err := parseReply(cmd.Val(), len(parts[n]))
		if err != nil {
			return replies, nil, err
		}
		if len(answer.stored) > len(parts[n]) || len(answer.stored) < len(parts[n]) && answer.failure == "" {
			return replies, nil, fmt.Errorf("%w: %d words for %d events", errReply, len(answer.stored), len(parts[n]))
		}
		replies = append(replies, answer)
		if answer.failure != "" {
			return replies, newServerError(answer.failure), lost
		}
	}
	return replies, nil, lost
}

// take notes the outcomes of what is stored, and how far the stream is then.
func (c *call) take(parts []part, replies []reply) {
	highest := uint64(0)
	for n, answer := range replies {
		for j, outcome := range answer.stored {
			c.outcomes[parts[n][j]], c.decided[parts[n][j]] = outcome, true
			highest = max(highest, outcome.Sequence)
		}
	}
	c.baseline.raise(highest)
}

// refused notes what a refusal means: for the event at which the script stopped, or for the whole server.
func (c *call) refused(ctx context.Context, primary *redis.Client, known *server, parts []part, replies []reply, refusal *serverError) error {
	if isNoScript(refusal) && !c.reloaded {
		c.reloaded = true
		if err := primary.ScriptLoad(ctx, known.mode.text).Err(); err != nil {
			return c.explain(ctx, err)
		}
		return nil
	}
	v := c.session.cfg.judge(refusal)
	i := c.stoppedAt(parts, replies)
	if c.refusals++; v.whole || i < 0 || c.refusals > maxRefusals {
		return c.explain(ctx, refusal)
	}
	c.session.doubt(ctx, refusal) // it may be another server now, which works in another mode
	c.refuse(i, true, v.err)
	return nil
}

// stoppedAt returns the event at which the script stopped, or -1 if the script itself failed.
func (c *call) stoppedAt(parts []part, replies []reply) int {
	if len(replies) == 0 {
		return -1
	}
	last := len(replies) - 1
	if n := len(replies[last].stored); replies[last].failure != "" && n < len(parts[last]) {
		return parts[last][n]
	}
	return -1
}

// explain says what an error means for the events that are left.
func (c *call) explain(ctx context.Context, cause error) error {
	s := c.session
	s.doubt(ctx, cause)
	err := s.cfg.judge(cause).err
	if !errors.Is(err, errSilent) || ended(ctx) != nil {
		return err
	}
	// A server that answers other questions has the events or does not; one that does not answer is away.
	if away := s.answers(ctx); away != nil {
		return away
	}
	return err
}

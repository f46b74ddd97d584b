package jetstream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/gameoutbox/relay/relay"
)

// A subject can reach more than one stream: over a leaf node that of another JetStream domain, through an import that of another
// account. Each answers every event, at the same reply subject. Only the answer of the stream that was asked counts. The
// acknowledgement of a stored event names its stream and domain. A refusal names no domain, and what a server says inside a batch names
// nothing at all. So while others answer, no batches are sent, and a refusal waits for the second answer. Two streams of one name and
// one domain, in two accounts, cannot be told apart: once both have answered an event, nothing is stored until one is silent.

// othersFor is for how long after an answer of another stream further ones are expected.
const othersFor = time.Minute

// secondWait is how long the first answer waits for that of a stream that is not known yet: a refusal for good, and the first event of a
// session whose API is imported from another account, for the own account may have a stream of the same name.
const secondWait = time.Second

// others is what is known of further streams that answer. Only Publish uses it.
type others struct {
	until time.Time
	twin  bool    // a stream answers, or may answer, that cannot be told from the one that was asked
	ended []ended // the calls and batches that have ended in order last
}

// ended is a call or a batch of which no further answer is due.
type ended struct {
	prefix  string // of its reply subjects
	batch   bool
	refusal bool // an event was refused
}

// endedKept is how many of them are remembered: late answers come within moments.
const endedKept = 16

// sharedFor is for how long at least events are sent singly after another program wrote to the stream.
const sharedFor = time.Minute

// noteShared notes that another program writes to the stream, whose ids the stream recognises for its
// duplicate window. After a batch whose end is unknown it may have been an event of that batch.
func (s *session) noteShared(window time.Duration) {
	if s.singly {
		return
	}
	if s.shared.IsZero() {
		s.log.Info("others write to the stream too", zap.String("stream", s.cfg.StreamName), zap.String("effect",
			"events are sent singly while they do, so that the answer to each tells whether the stream knew its id; this is slower"))
	}
	s.shared = time.Now().Add(max(sharedFor, window))
}

// isShared reports whether others have written to the stream lately.
func (s *session) isShared() bool { return time.Now().Before(s.shared) }

// answer tells whether another stream has answered lately.
func (o *others) answer() bool { return time.Now().Before(o.until) }

// end notes that every answer to a call or a batch has come that is due.
func (o *others) end(e ended) {
	if len(o.ended) == endedKept {
		o.ended = slices.Delete(o.ended, 0, 1)
	}
	o.ended = append(o.ended, e)
}

// noteOther notes that another stream than the one that was asked has answered.
func (l *link) noteOther(a answer) {
	if !l.others.answer() {
		l.log.Warn("another stream answers too", zap.String("stream", l.target.name()), zap.String("other", a.name()),
			zap.String("effect", "events are sent singly, which is slower"),
			zap.String("next", "remove the events' subjects from one of the streams, unless both are meant to store them"))
	}
	l.others.until = time.Now().Add(othersFor)
}

// late takes an answer for which no event waits. One stream answers each event once, so a second answer is that of another.
func (l *link) late(msg *nats.Msg) {
	i := slices.IndexFunc(l.others.ended, func(e ended) bool { return strings.HasPrefix(msg.Subject, e.prefix) })
	if i < 0 {
		return // its call was given up, and the answer is the one that it did not wait for
	}
	l.second(msg, l.others.ended[i])
}

// second takes a second answer to what has had its first.
func (l *link) second(msg *nats.Msg, e ended) {
	a, err := parseAnswer(msg)
	switch {
	case err != nil, a.unrouted:
		return
	case e.batch && a.Error != nil:
		return // a server says more than once why a batch came to nothing
	case e.batch && a.Type != "" && !e.refusal:
		return // said before the batch ended, as far as is known
	}
	// A refusal names no domain: where there are none, it is that of a twin, or the one that it has answered is.
	if !e.refusal && (a.Error == nil && a.isFrom(l.target) || a.Error != nil && l.target.domain == "") {
		l.others.twin = true
	}
	l.noteOther(a)
}

// name names the stream that gave an answer.
func (a answer) name() string {
	if a.Stream == "" {
		return "unknown"
	}
	return streamName(a.Stream, a.Domain)
}

// name names the stream that is asked.
func (t *target) name() string { return streamName(t.stream, t.domain) }

func streamName(stream, domain string) string {
	if domain == "" {
		return stream
	}
	return stream + " in domain " + domain
}

// twinError says that it is unknown which of two streams stored an event.
func (t *target) twinError() error {
	return fmt.Errorf("%w: two streams called %s answer to one event, and their answers cannot be told apart; rename one, or remove the "+
		"subject from the one that is not meant with nats stream edit; or a subscriber answers events as a stream would: "+
		"deny it to publish to the relay's inbox (mq.inbox_prefix)", relay.ErrMisconfigured, t.name())
}

// isFrom tells whether an answer is that of the stream that was asked.
func (a answer) isFrom(t *target) bool { return a.Stream == t.stream && a.Domain == t.domain }

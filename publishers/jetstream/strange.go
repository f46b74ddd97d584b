package jetstream

import (
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// strangeInterval is how often an answer is logged that no stream gives.
const strangeInterval = time.Minute

// strange takes an answer to an event that its stream cannot have given. Whoever sees an event may
// answer it, by mistake too: a service that replies to each message. Such an answer decides
// nothing; that of the stream is still waited for.
func (s *session) strange(msg *nats.Msg, cause error) {
	s.strangers++
	if time.Since(s.strangeAt) < strangeInterval {
		return
	}
	s.strangeAt = time.Now()
	const shown = 100
	s.log.Warn("answer that no stream gives", zap.Error(cause),
		zap.ByteString("answer", msg.Data[:min(len(msg.Data), shown)]), zap.Uint64("answers", s.strangers),
		zap.String("next", "find the subscriber that replies to events, and deny it to publish to "+s.cfg.InboxPrefix+
			".>, or set mq.inbox_prefix"))
}

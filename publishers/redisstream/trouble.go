package redisstream

import (
	"time"

	"go.uber.org/zap"
)

// troubleEvery is how often a trouble that stays the same is logged.
const troubleEvery = time.Minute

// trouble logs why there is no way to the stream: at once when the reason changes, else now and then, and how long it
// lasted when it is over. The zero value is ready.
type trouble struct {
	text     string
	since    time.Time
	loggedAt time.Time
}

func (t *trouble) note(log *zap.Logger, err error) {
	now := time.Now()
	switch {
	case err == nil && t.text == "":
		return
	case err == nil:
		log.Info("Redis Stream is ready again", zap.Duration("after", now.Sub(t.since)))
		*t = trouble{}
		return
	case t.text == "":
		t.since = now
	case t.text == err.Error() && now.Sub(t.loggedAt) < troubleEvery:
		return
	}
	t.text, t.loggedAt = err.Error(), now
	log.Warn("Redis Stream is not ready; events wait in Postgres", zap.Error(err))
}

package redisstream

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// rememberedIDs is how many event ids the server remembers at least, while the window lasts. It is more than the events that a relay
// may have in flight: three batches of at most 65,536.
const rememberedIDs = 1 << 19

// producers is how many producers share the ids of a stream with IDMP, which remembers at most 10,000 of each. The first two
// hexadecimal digits of an event's id are its producer.
const producers = 256

// widenIDMP gives an existing stream room for the ids. That makes the server forget those that it knows, so it is done only when
// there is less room than is needed. A missing stream is created by the script.
func (s *session) widenIDMP(ctx context.Context, primary *redis.Client) error {
	info, err := primary.XInfoStream(ctx, s.cfg.Stream).Result()
	if err != nil && strings.HasPrefix(err.Error(), "ERR no such key") {
		return nil
	}
	if err != nil {
		return err
	}
	duration, size := int64(math.Ceil(s.cfg.DedupWindow.Seconds())), int64(rememberedIDs/producers)
	if info.IDMPDuration >= duration && info.IDMPMaxSize >= size {
		return nil
	}
	s.log.Info("the stream remembers too few ids; its limits are raised, and it forgets the ids that it knows",
		zap.String("stream", s.cfg.Stream), zap.Duration("duration", time.Duration(info.IDMPDuration)*time.Second),
		zap.Int64("maxsize", info.IDMPMaxSize))
	return primary.Do(ctx, "XCFGSET", s.cfg.Stream, "IDMP-DURATION", max(duration, info.IDMPDuration),
		"IDMP-MAXSIZE", max(size, info.IDMPMaxSize)).Err()
}

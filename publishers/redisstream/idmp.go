package redisstream

import (
	"context"
	"fmt"
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
	limits, err := redis.NewScript(idmpLimitsLua).Run(ctx, primary, []string{s.cfg.Stream}).Int64Slice()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return nil
	}
	if err != nil {
		return err
	}
	const answers = 2
	if len(limits) != answers {
		return fmt.Errorf("%w: %d", errReply, limits)
	}
	lasts, known := limits[0], limits[1]
	duration, size := int64(math.Ceil(s.cfg.DedupWindow.Seconds())), int64(rememberedIDs/producers)
	if lasts >= duration && known >= size {
		return nil
	}
	s.log.Info("the stream remembers too few ids; its limits are raised, and it forgets the ids that it knows",
		zap.String("stream", s.cfg.Stream), zap.Duration("duration", time.Duration(lasts)*time.Second),
		zap.Int64("maxsize", known))
	return primary.Do(ctx, "XCFGSET", s.cfg.Stream, "IDMP-DURATION", max(duration, lasts),
		"IDMP-MAXSIZE", max(size, known)).Err()
}

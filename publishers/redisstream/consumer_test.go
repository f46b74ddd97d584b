package redisstream

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// consumerRights is the command of docs/SECURITY.md.
const consumerRights = `ACL SETUSER billing on ><password> resetkeys ~<stream>
	+hello +ping +select +client|setname +xreadgroup +xack +xautoclaim +xpending`

// TestAConsumerOfTheDocumentation reads and acknowledges, and can do no harm to the stream.
func TestAConsumerOfTheDocumentation(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version string) {
		s := start(t, version)
		cfg := configFor(t, s.URL)
		c, ctx := admin(t, cfg), t.Context()
		requireWorks(t, cfg)
		require.NoError(t, c.XGroupCreate(ctx, cfg.Stream, "billing", "0").Err())
		args := []any{}
		rule := strings.NewReplacer("<stream>", cfg.Stream, "<password>", "hunter2").Replace(consumerRights)
		for word := range strings.FieldsSeq(rule) {
			args = append(args, word)
		}
		require.NoError(t, c.Do(ctx, args...).Err())
		options := *c.Options()
		options.Username, options.Password = "billing", "hunter2"
		consumer := redis.NewClient(&options)
		t.Cleanup(func() { require.NoError(t, consumer.Close()) })

		read, err := consumer.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "billing", Consumer: "one", Streams: []string{cfg.Stream, ">"}, Count: 10,
		}).Result()
		require.NoError(t, err)
		require.NotEmpty(t, read[0].Messages)
		require.NoError(t, consumer.XAck(ctx, cfg.Stream, "billing", read[0].Messages[0].ID).Err())
		for _, forbidden := range [][]any{
			{"XADD", cfg.Stream, "*", "event_id", "x"},
			{"XDEL", cfg.Stream, read[0].Messages[0].ID},
			{"XTRIM", cfg.Stream, "MAXLEN", "0"},
			{"XGROUP", "DESTROY", cfg.Stream, "billing"},
			{"XGROUP", "CREATE", cfg.Stream, "mine", "0"},
			{"XREADGROUP", "GROUP", "billing", "one", "STREAMS", cfg.Stream + "-other", ">"},
			{"DEL", cfg.Stream},
			{"RENAME", cfg.Stream, "gone"},
			{"EVAL", "return 1", "0"},
			{"FLUSHALL"},
			{"CONFIG", "GET", "*"},
			{"ACL", "LIST"},
			{"SHUTDOWN", "NOSAVE"},
		} {
			require.ErrorContains(t, consumer.Do(ctx, forbidden...).Err(), "NOPERM", "%v", forbidden)
		}
	})
}

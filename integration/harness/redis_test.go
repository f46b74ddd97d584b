package harness_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/gameoutbox/relay/integration/harness"
)

func TestRedisIsShared(t *testing.T) {
	t.Parallel()
	first, second := harness.Redis(t), harness.Redis(t)
	require.Equal(t, first, second)
	require.NoError(t, pingRedis(t.Context(), redisClient(t, first)))
}

func TestRedisKeepsDataAndAddress(t *testing.T) {
	t.Parallel()
	server := harness.StartRedis(t, harness.RedisOptions{Args: []string{"--databases", "3"}})
	client := redisClient(t, server.URL)
	for i, breakage := range breakages(server) {
		length, err := client.RPush(t.Context(), "kept", breakage.name).Result()
		require.NoError(t, err)
		require.EqualValues(t, i+1, length)
		breakage.begin()
		require.Error(t, pingRedis(t.Context(), client), breakage.name)
		breakage.end()
		eventually(t, func() error { return pingRedis(t.Context(), client) })
	}
	require.Equal(t, "3", client.ConfigGet(t.Context(), "databases").Val()["databases"])
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	options.MaxRetries, options.DialerRetries = -1, 1
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func pingRedis(ctx context.Context, client *redis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return client.Ping(ctx).Err()
}
